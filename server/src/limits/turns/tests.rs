//! The queue in virtual time: rates, turns by address, waiters that go, patience.

use super::*;

const NOW: u64 = 1_700_000_000_000;

fn ip(last: u8) -> Key {
    Some(IpAddr::from([192, 0, 2, last]))
}

/// 100 a second in all (10 at once), 20 a second of each address (5 at once), 2 s of patience.
fn queue() -> Turns {
    Turns::new(Quota::new(Some(100), 10), Quota::new(Some(20), 5), 2_000)
}

/// What a driver does: serves at each time that is due, up to `until`; with the time of each turn.
fn run(turns: &mut Turns, from: u64, until: u64) -> Vec<(u64, Ticket, bool)> {
    let (mut now, mut out) = (from, Vec::new());
    loop {
        out.extend(turns.serve(now).into_iter().map(|(ticket, result)| (now, ticket, result.is_ok())));
        match turns.next_due(now) {
            Some(at) if at <= until => {
                assert!(at > now, "a time that is never over");
                now = at;
            }
            _ => return out,
        }
    }
}

#[test]
fn an_address_has_its_burst_and_then_waits_at_its_own_rate() {
    let mut turns = queue();
    assert!((0..5).all(|_| turns.ask(ip(1), true, NOW) == Asked::Now));
    let tickets: Vec<_> = (0..3).map(|_| turns.ask(ip(1), true, NOW)).collect();
    assert_eq!(tickets, [Asked::Wait(0), Asked::Wait(1), Asked::Wait(2)]);
    assert_eq!(turns.ask(ip(2), true, NOW), Asked::Now, "another address is not behind them");
    let served = run(&mut turns, NOW, NOW + 10_000);
    assert_eq!(served, [(NOW + 50, 0, true), (NOW + 100, 1, true), (NOW + 150, 2, true)]);
    assert_eq!(turns.next_due(NOW + 150), None);
}

#[test]
fn who_would_wait_too_long_is_refused_and_told_whose_rate_it_is() {
    let mut turns = queue();
    let asked: Vec<_> = (0..60).map(|_| turns.ask(ip(1), true, NOW)).collect();
    assert_eq!(asked.iter().filter(|one| **one == Asked::Now).count(), 5);
    assert_eq!(asked.iter().filter(|one| matches!(one, Asked::Wait(_))).count(), 40, "2 s at 20 a second");
    assert_eq!(asked[45], Asked::Refused(TooFast { by_address: true, retry_after_ms: 2_050 }));
    assert_eq!(turns.ask(ip(1), false, NOW), Asked::Refused(TooFast { by_address: true, retry_after_ms: 2_050 }));
    // The rate of all, used up by many addresses.
    let mut crowd = queue();
    let asked: Vec<_> = (0..250).map(|last| crowd.ask(ip(last), true, NOW)).collect();
    assert_eq!(asked.iter().filter(|one| **one == Asked::Now).count(), 10);
    assert_eq!(asked.iter().filter(|one| matches!(one, Asked::Wait(_))).count(), 200, "2 s at 100 a second");
    assert_eq!(asked[249], Asked::Refused(TooFast { by_address: false, retry_after_ms: 2_010 }));
}

#[test]
fn addresses_are_served_in_turn_however_many_wait_of_one() {
    // Without a rate of its own an address could fill the queue.
    let mut turns = Turns::new(Quota::new(Some(100), 1), Quota::new(None, 1), 2_000);
    assert_eq!(turns.ask(ip(1), true, NOW), Asked::Now);
    let crowd = (0..300).filter(|_| matches!(turns.ask(ip(1), true, NOW), Asked::Wait(_))).count();
    assert_eq!(crowd, 200);
    let Asked::Wait(second) = turns.ask(ip(2), true, NOW) else { panic!("refused behind a crowd of one address") };
    let Asked::Wait(third) = turns.ask(ip(3), true, NOW) else { panic!("refused behind a crowd of one address") };
    let served: Vec<_> = run(&mut turns, NOW, NOW + 60).into_iter().map(|(at, ticket, _)| (at - NOW, ticket)).collect();
    assert_eq!(served, [(10, 0), (20, second), (30, third), (40, 1), (50, 2), (60, 3)]);
}

#[test]
fn a_waiter_that_goes_gives_back_its_turn() {
    let mut turns = queue();
    for _ in 0..5 {
        turns.ask(ip(1), true, NOW);
    }
    // Comes and goes, a thousand times: nothing is used by it.
    for _ in 0..1_000 {
        let Asked::Wait(ticket) = turns.ask(ip(1), true, NOW) else { panic!("its own place was kept from it") };
        turns.cancel(ticket);
        turns.cancel(ticket);
    }
    assert_eq!(turns.next_due(NOW), None, "nobody waits");
    let Asked::Wait(last) = turns.ask(ip(1), true, NOW) else { panic!() };
    assert_eq!(run(&mut turns, NOW, NOW + 1_000), [(NOW + 50, last, true)]);
    turns.cancel(last);
    assert_eq!(turns.ask(ip(1), true, NOW + 100), Asked::Now);
}

/// The attack of which this queue is the answer: an address that opens and closes as fast as it can, for 30 s.
#[test]
fn an_address_that_comes_and_goes_keeps_nobody_waiting() {
    let mut turns = Turns::new(Quota::new(Some(500), 500), Quota::new(Some(20), 100), 8_000);
    let (mut let_in, mut waiting) = (0, VecDeque::new());
    for ms in 0..30_000_u64 {
        let now = NOW + ms;
        for (_, result) in turns.serve(now) {
            let_in += usize::from(result.is_ok());
        }
        for _ in 0..3 {
            match turns.ask(ip(1), true, now) {
                Asked::Now => let_in += 1,
                Asked::Wait(ticket) => waiting.push_back(ticket),
                Asked::Refused(_) => {}
            }
        }
        // Two sockets at a time.
        while waiting.len() > 2 {
            turns.cancel(waiting.pop_front().unwrap());
        }
        if ms % 100 == 0 {
            assert_eq!(turns.ask(ip(u8::try_from(2 + ms / 100 % 250).unwrap()), true, now), Asked::Now, "after {ms} ms");
        }
    }
    assert!((100..=100 + 20 * 30 + 1).contains(&let_in), "{let_in} of the attacker were let in");
}

#[test]
fn patience_ends_for_who_was_overtaken() {
    let mut turns = Turns::new(Quota::new(Some(10), 1), Quota::new(None, 1), 500);
    assert_eq!(turns.ask(ip(1), true, NOW), Asked::Now);
    let first: Vec<_> = (0..5).map(|_| turns.ask(ip(1), true, NOW)).collect();
    assert!(first.iter().all(|one| matches!(one, Asked::Wait(_))));
    // As many addresses come after it as have a turn before its second waiter.
    for last in 2..6 {
        assert!(matches!(turns.ask(ip(last), true, NOW + 1), Asked::Wait(_)), "{last}");
    }
    let served = run(&mut turns, NOW, NOW + 2_000);
    assert_eq!(served.iter().filter(|(_, _, let_in)| *let_in).count(), 5);
    assert!(served.iter().all(|(at, _, let_in)| *let_in || (NOW + 500..=NOW + 501).contains(at)), "{served:?}");
    assert_eq!((served.len(), turns.next_due(NOW + 2_000)), (9, None));
}

#[test]
fn who_has_no_known_address_is_bound_by_the_rate_of_all_only() {
    let mut turns = queue();
    let asked: Vec<_> = (0..20).map(|_| turns.ask(None, true, NOW)).collect();
    assert_eq!(asked.iter().filter(|one| **one == Asked::Now).count(), 10);
    assert_eq!(run(&mut turns, NOW, NOW + 100).len(), 10);
}

#[test]
fn addresses_of_long_ago_are_forgotten() {
    let mut turns = Turns::new(Quota::new(None, 1), Quota::new(Some(20), 5), 2_000);
    for n in 0..100_000_u32 {
        let address = Some(IpAddr::from(n.to_be_bytes()));
        assert_eq!(turns.ask(address, true, NOW + u64::from(n)), Asked::Now);
    }
    assert!(turns.groups.len() <= 2 * LEAST_KEPT, "{} addresses are kept", turns.groups.len());
}

#[test]
fn five_thousand_of_five_thousand_addresses_are_let_in_at_the_rate_as_far_as_the_patience_goes() {
    let mut turns = Turns::new(Quota::new(Some(500), 500), Quota::new(Some(20), 100), 8_000);
    let asked: Vec<_> = (0..5_000_u32).map(|n| turns.ask(Some(IpAddr::from(n.to_be_bytes())), true, NOW)).collect();
    assert_eq!(asked.iter().filter(|one| **one == Asked::Now).count(), 500);
    assert_eq!(asked.iter().filter(|one| matches!(one, Asked::Refused(_))).count(), 500);
    let served = run(&mut turns, NOW, NOW + 8_000);
    assert_eq!(served.len(), 4_000);
    for second in 0..8 {
        let within = |at: u64| at > NOW + second * 1000 && at <= NOW + (second + 1) * 1000;
        let count = served.iter().filter(|(at, _, let_in)| within(*at) && *let_in).count();
        assert!((499..=501).contains(&count), "{count} in the second {second}");
    }
}
