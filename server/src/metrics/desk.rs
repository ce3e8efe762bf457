//! Where questions wait for their turn: a user has one answered at a time, a few more wait, and users take turns. So six charts that are
//! mounted at once are all answered, and who asks for everything holds nobody up for longer than one question may take.

use super::{MetricQuery, MetricStore, QueryError, TextNumbers};
use osbackend_protocol::metrics::Metrics;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    future::{Future, poll_fn},
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::oneshot;

/// Questions that are answered at once, of all users together.
const RUNNING: usize = 2;
/// Questions of one user that wait: a dashboard's charts in some tabs.
const WAITING: usize = 64;
/// Questions that wait, of all users together.
const ALL_WAITING: usize = 4_096;
/// How long reading for one answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// When to ask again, who is sent away.
const RETRY_AFTER_MS: u64 = 1_000;

/// Whose question it is: each has a turn of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// A user, by whichever connection.
    User(Arc<str>),
    /// Clients without a user, by their address.
    Address(IpAddr),
    /// Clients without a user whose address is not known.
    Anyone,
    /// The application that the server runs in.
    Application,
}

/// Questions to a store, in turn. Cloning shares it.
#[derive(Clone)]
pub struct Desk {
    store: Arc<dyn MetricStore>,
    line: Arc<Line>,
    text_numbers: Arc<TextNumbers>,
    time_limit: Duration,
}

impl Desk {
    /// Questions go to `store`; what its points had as text is counted in `text_numbers`.
    pub fn new(store: Arc<dyn MetricStore>, text_numbers: Arc<TextNumbers>) -> Self {
        Self { store, line: Arc::default(), text_numbers, time_limit: TIME_LIMIT }
    }

    /// The points in range, once it is the asker's turn. Dropping the future gives the turn back, and ends the reading.
    ///
    /// # Errors
    /// Too many wait already, reading took too long, the store can't be read, or a point is larger than an answer.
    pub fn ask(
        &self,
        asker: Asker,
        query: MetricQuery,
        now_ms: u64,
    ) -> impl Future<Output = Result<Metrics, QueryError>> + Send + use<> {
        self.ask_with_room(asker, query, now_ms, |_| Poll::Ready(()))
    }

    /// The same for who may be slow to take answers: nothing is read, and no turn taken, until `has_room` says that there is room
    /// for one. So answers that nobody takes don't pile up.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn ask_with_room<R>(
        &self,
        asker: Asker,
        query: MetricQuery,
        now_ms: u64,
        mut has_room: R,
    ) -> impl Future<Output = Result<Metrics, QueryError>> + Send + use<R>
    where
        R: FnMut(&mut Context<'_>) -> Poll<()> + Send,
    {
        let (store, line, time_limit) = (self.store.clone(), self.line.clone(), self.time_limit);
        async move {
            let _turn = loop {
                poll_fn(&mut has_room).await;
                let turn = line.clone().turn(asker.clone()).await?;
                // An answer to the question before may have taken the room meanwhile.
                if poll_fn(|cx| Poll::Ready(has_room(cx).is_ready())).await {
                    break turn;
                }
            };
            let answer = tokio::time::timeout(time_limit, store.query(query, now_ms)).await;
            answer.unwrap_or(Err(QueryError::TooSlow(time_limit)))
        }
    }

    /// Numbers that were published as text.
    pub fn text_numbers(&self) -> &TextNumbers {
        &self.text_numbers
    }

    /// Questions that are answered now, and those that wait.
    pub fn questions(&self) -> (usize, usize) {
        let state = self.line.state.lock();
        (state.running, state.waiting)
    }
}

#[derive(Default)]
struct Line {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
    askers: HashMap<Asker, Questions>,
    /// Who has a question waiting and none running, in the order in which they get a turn.
    next: VecDeque<Asker>,
}

/// Of one asker; not there while there are none.
#[derive(Default)]
struct Questions {
    running: bool,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// A turn; given back when it is dropped.
struct Turn {
    line: Arc<Line>,
    asker: Asker,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.line.give_back(&self.asker);
    }
}

/// A place in the line; given up when it is dropped.
struct Waiting {
    line: Arc<Line>,
    asker: Asker,
    turn: Option<oneshot::Receiver<Turn>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // First, so that its sender is seen to be closed; a turn that was on its way is given back here.
        self.turn = None;
        let mut state = self.line.state.lock();
        let State { waiting, askers, .. } = &mut *state;
        if let Some(questions) = askers.get_mut(&self.asker) {
            let before = questions.waiting.len();
            questions.waiting.retain(|turn| !turn.is_closed());
            *waiting -= before - questions.waiting.len();
            if questions.waiting.is_empty() {
                state.next.retain(|asker| *asker != self.asker);
                state.forget(&self.asker);
            }
        }
    }
}

impl State {
    fn forget(&mut self, asker: &Asker) {
        if self.askers.get(asker).is_some_and(|questions| !questions.running && questions.waiting.is_empty()) {
            self.askers.remove(asker);
        }
    }
}

impl Line {
    async fn turn(self: Arc<Self>, asker: Asker) -> Result<Turn, QueryError> {
        let receiver = {
            let mut state = self.state.lock();
            let State { running, waiting, askers, next } = &mut *state;
            let questions = askers.entry(asker.clone()).or_default();
            if !questions.running && questions.waiting.is_empty() && next.is_empty() && *running < RUNNING {
                questions.running = true;
                *running += 1;
                drop(state);
                return Ok(Turn { line: self, asker });
            }
            if questions.waiting.len() >= WAITING || *waiting >= ALL_WAITING {
                state.forget(&asker);
                return Err(QueryError::Busy { retry_after_ms: RETRY_AFTER_MS });
            }
            let (sender, receiver) = oneshot::channel();
            if !questions.running && questions.waiting.is_empty() {
                next.push_back(asker.clone());
            }
            questions.waiting.push_back(sender);
            *waiting += 1;
            receiver
        };
        let mut place = Waiting { line: self.clone(), asker, turn: Some(receiver) };
        let turn = match &mut place.turn {
            Some(turn) => turn.await.ok(),
            None => None,
        };
        // The line lives as long as somebody stands in it.
        turn.ok_or(QueryError::Busy { retry_after_ms: RETRY_AFTER_MS })
    }

    fn give_back(self: &Arc<Self>, asker: &Asker) {
        // Turns that nobody took are dropped, and so given back, after the lock.
        let mut untaken = Vec::new();
        let mut state = self.state.lock();
        state.running -= 1;
        if let Some(questions) = state.askers.get_mut(asker) {
            questions.running = false;
            if !questions.waiting.is_empty() {
                state.next.push_back(asker.clone());
            }
        }
        state.forget(asker);
        while state.running < RUNNING
            && let Some(asker) = state.next.pop_front()
        {
            let State { running, waiting, askers, .. } = &mut *state;
            let Some(questions) = askers.get_mut(&asker) else { continue };
            let Some(sender) = questions.waiting.pop_front() else { continue };
            *waiting -= 1;
            *running += 1;
            questions.running = true;
            if let Err(turn) = sender.send(Turn { line: self.clone(), asker }) {
                untaken.push(turn);
            }
        }
        drop(state);
        drop(untaken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Answer;
    use osbackend_protocol::Timestamp;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Waker;
    use tokio::sync::mpsc;

    /// Answers when it is told to; `to_ms` tells questions apart.
    struct Told {
        begun: mpsc::UnboundedSender<(u64, oneshot::Sender<()>)>,
    }

    impl MetricStore for Told {
        fn name(&self) -> &'static str {
            "told"
        }

        fn query(&self, query: MetricQuery, _now_ms: u64) -> Answer {
            let (answer, told) = oneshot::channel();
            self.begun.send((query.to_ms, answer)).unwrap();
            Box::pin(async move {
                told.await.unwrap();
                let (from, to) = (Timestamp(0), Timestamp(query.to_ms));
                Ok(Metrics { kind: None, from, to, interval: None, tz: None, points: vec![], truncated: false, cursor: None })
            })
        }
    }

    type Begun = mpsc::UnboundedReceiver<(u64, oneshot::Sender<()>)>;

    fn desk() -> (Desk, Begun) {
        let (begun, receiver) = mpsc::unbounded_channel();
        (Desk::new(Arc::new(Told { begun }), Arc::default()), receiver)
    }

    fn total(desk: &Desk) -> usize {
        let (running, waiting) = desk.questions();
        running + waiting
    }

    fn user(name: &str) -> Asker {
        Asker::User(name.into())
    }

    fn ask(desk: &Desk, asker: &str, number: u64) -> tokio::task::JoinHandle<Result<Metrics, QueryError>> {
        tokio::spawn(desk.ask(user(asker), MetricQuery::of_range(None, 0, number), 0))
    }

    #[tokio::test]
    async fn a_user_has_one_question_answered_at_a_time_and_users_take_turns() {
        let (desk, mut begun) = desk();
        // Each is in the line before the next one asks.
        let mut asked = Vec::new();
        for (asker, number) in [("eve", 1), ("eve", 2), ("eve", 3), ("ada", 11), ("bob", 21), ("ada", 12)] {
            asked.push(ask(&desk, asker, number));
            while total(&desk) < asked.len() {
                tokio::task::yield_now().await;
            }
        }
        let mut order = Vec::new();
        let mut open = VecDeque::new();
        for number in 0..6 {
            while open.len() < usize::min(2, 6 - number) {
                let (which, answer) = begun.recv().await.unwrap();
                order.push(which);
                open.push_back(answer);
            }
            assert!(desk.questions().0 <= RUNNING);
            open.pop_front().unwrap().send(()).unwrap();
        }
        // Two of one user never run at once, and nobody waits for all of eve's.
        assert_eq!(order, [1, 11, 21, 2, 12, 3]);
        for question in asked {
            question.await.unwrap().unwrap();
        }
        assert_eq!(desk.questions(), (0, 0));
        assert!(desk.line.state.lock().askers.is_empty());
    }

    #[tokio::test]
    async fn who_has_too_many_waiting_is_sent_away_and_others_are_not() {
        let (desk, mut begun) = desk();
        let all: Vec<_> = (0..=WAITING as u64).map(|number| ask(&desk, "eve", number)).collect();
        while desk.questions() != (1, WAITING) {
            tokio::task::yield_now().await;
        }
        let refused = ask(&desk, "eve", 999).await.unwrap().unwrap_err();
        assert_eq!(refused.code(), osbackend_protocol::ErrorCode::RateLimited);
        let other = ask(&desk, "ada", 1_000);
        let eves = begun.recv().await.unwrap();
        let (which, answer) = begun.recv().await.unwrap();
        assert_eq!(which, 1_000);
        answer.send(()).unwrap();
        other.await.unwrap().unwrap();
        // Eve's connections go: nothing of hers is left, running or waiting.
        for question in &all {
            question.abort();
        }
        while desk.questions() != (0, 0) {
            tokio::task::yield_now().await;
        }
        assert!(eves.1.is_closed(), "the reading that was under way has ended");
        assert!(begun.try_recv().is_err(), "and none of those that waited was begun");
        assert!(desk.line.state.lock().next.is_empty());
    }

    #[tokio::test]
    async fn a_turn_that_came_too_late_is_for_the_next() {
        let (desk, mut begun) = desk();
        let first = ask(&desk, "ada", 1);
        let second = ask(&desk, "bob", 2);
        let (_, one) = begun.recv().await.unwrap();
        let (_, two) = begun.recv().await.unwrap();
        // Polled by hand, so that it is dropped between its turn's coming and its taking it.
        let mut late = Box::pin(desk.ask(user("eve"), MetricQuery::of_range(None, 0, 3), 0));
        assert!(late.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let next = ask(&desk, "kim", 4);
        while desk.questions() != (2, 2) {
            tokio::task::yield_now().await;
        }
        one.send(()).unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(desk.questions(), (2, 1));
        drop(late);
        let (which, four) = begun.recv().await.unwrap();
        assert_eq!(which, 4);
        four.send(()).unwrap();
        two.send(()).unwrap();
        next.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        assert_eq!(desk.questions(), (0, 0));
    }

    #[tokio::test]
    async fn who_does_not_take_answers_has_none_read_and_holds_no_turn() {
        let (desk, mut begun) = desk();
        let room = Arc::new(AtomicBool::new(true));
        let (open, wake) = (room.clone(), Arc::new(tokio::sync::Notify::new()));
        let woken = wake.clone();
        let ask_eve = |number| {
            let (open, woken) = (open.clone(), woken.clone());
            let mut wait = Box::pin(async move {
                while !open.load(Ordering::SeqCst) {
                    woken.notified().await
                }
            });
            let open = room.clone();
            let has_room = move |cx: &mut Context<'_>| match open.load(Ordering::SeqCst) {
                true => Poll::Ready(()),
                false => wait.as_mut().poll(cx),
            };
            tokio::spawn(desk.ask_with_room(user("eve"), MetricQuery::of_range(None, 0, number), 0, has_room))
        };
        let first = ask_eve(1);
        let (_, answer) = begun.recv().await.unwrap();
        let second = ask_eve(2);
        while desk.questions() != (1, 1) {
            tokio::task::yield_now().await;
        }
        // Her reader is full by now: the second gets its turn, gives it back and waits.
        room.store(false, Ordering::SeqCst);
        answer.send(()).unwrap();
        first.await.unwrap().unwrap();
        while desk.questions() != (0, 0) {
            tokio::task::yield_now().await;
        }
        assert!(begun.try_recv().is_err() && !second.is_finished());
        room.store(true, Ordering::SeqCst);
        wake.notify_waiters();
        let (which, answer) = begun.recv().await.unwrap();
        assert_eq!(which, 2);
        answer.send(()).unwrap();
        second.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_question_has_a_time_limit() {
        let (mut desk, mut begun) = desk();
        desk.time_limit = Duration::from_millis(1);
        let slow = ask(&desk, "ada", 1);
        let (_, answer) = begun.recv().await.unwrap();
        let error = slow.await.unwrap().unwrap_err();
        assert!(matches!(error, QueryError::TooSlow(_)), "{error}");
        assert!(answer.is_closed() && desk.questions() == (0, 0));
    }
}
