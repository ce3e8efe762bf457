//! Plausible business for the demo page of `--dev`: agents, calls, clone jobs and clips that never stand still.
//!
//! [`Feed`] knows no clock and no server: each step is a quarter of a second of that business, as events.

use std::time::Duration;

use osbackend_protocol::DomainEvent;
use osbackend_protocol::event::{ClipPlayed, MetricUpdate, MetricValue};
use serde_json::{Map, Value};

mod agents;
mod calls;
mod jobs;
mod past;
mod random;
mod resume;
mod run;

use random::Random;
pub use run::{fill_in, run};

/// The time that one [`Feed::step`] stands for.
pub const STEP: Duration = Duration::from_millis(250);

/// Steps between two metric updates of one kind; each kind has its own turn.
const METRIC_EVERY: u64 = calls::METRICS;
/// Steps between two announcements, the first of them early enough to be seen.
const ANNOUNCE_EVERY: u64 = 180;
const ANNOUNCE_FIRST: u64 = 32;

const CITIES: [&str; 8] = ["Lisbon", "Austin", "Osaka", "Berlin", "Toronto", "Nairobi", "São Paulo", "Leeds"];

const ANNOUNCEMENTS: [(&str, &str); 5] = [
    ("info", "Voice models were updated: calls sound more natural from now on."),
    ("success", "New record: the most leads in one hour this month."),
    ("warning", "Carrier in the west region is slow; some calls connect late."),
    ("info", "Maintenance on Sunday, 02:00 to 02:15 UTC. Dashboards reconnect by themselves."),
    ("success", "All agents passed the weekly quality check."),
];

/// What happened in a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// A typed event.
    Event(DomainEvent),
    /// An announcement to everyone, as `admin_broadcast` into `admin:broadcast`.
    Announcement {
        /// What is announced.
        message: &'static str,
        /// `info`, `success` or `warning`.
        level: &'static str,
    },
}

/// The business that the demo shows.
pub struct Feed {
    random: Random,
    agents: Vec<agents::Agent>,
    calls: calls::Calls,
    jobs: jobs::Jobs,
    clip_plays: [u64; 6],
    step: u64,
}

impl Feed {
    /// A business that goes on in the same way for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            agents: agents::team(&mut random),
            calls: calls::Calls::new(),
            jobs: jobs::Jobs::new(),
            clip_plays: std::array::from_fn(|_| random.within(40.0, 400.0) as u64),
            random,
            step: 0,
        }
    }

    /// One value of everything, so that a page opened right after the start has it all.
    pub fn first(&mut self) -> Vec<Happening> {
        let agents = self.agents.iter().map(agents::Agent::event);
        let metrics = (0..METRIC_EVERY).map(|which| self.calls.metric(which));
        let clips = (0..self.clip_plays.len()).map(|clip| played(clip, self.clip_plays[clip], None));
        agents.chain(metrics).chain(self.jobs.all()).chain(clips).map(Happening::Event).collect()
    }

    /// What happens in the next quarter of a second.
    pub fn step(&mut self) -> Vec<Happening> {
        self.step += 1;
        let mut events = Vec::new();
        for agent in &mut self.agents {
            events.extend(agent.step(&mut self.random));
        }
        let busy = self.agents.iter().filter(|agent| agent.is_busy()).count();
        self.calls.step(busy, self.step, &mut self.random);
        events.push(self.calls.metric(self.step % METRIC_EVERY));
        events.extend(self.jobs.step(&mut self.random));
        if self.random.chance(0.45) {
            // Clips further back in the list are played less.
            let clip = self.random.below(self.clip_plays.len()).min(self.random.below(self.clip_plays.len()));
            self.clip_plays[clip] += 1;
            events.push(played(clip, self.clip_plays[clip], Some(*self.random.pick(&CITIES))));
        }
        let mut happenings: Vec<_> = events.into_iter().map(Happening::Event).collect();
        if self.step % ANNOUNCE_EVERY == ANNOUNCE_FIRST {
            let (level, message) = ANNOUNCEMENTS[(self.step / ANNOUNCE_EVERY) as usize % ANNOUNCEMENTS.len()];
            happenings.push(Happening::Announcement { message, level });
        }
        happenings
    }
}

fn played(clip: usize, plays: u64, location: Option<&str>) -> DomainEvent {
    DomainEvent::ClipPlayed(ClipPlayed { clip_id: format!("clip-{}", clip + 1), plays, location: location.map(str::to_owned) })
}

fn metric(name: &str, values: &[(&str, MetricValue)]) -> DomainEvent {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    DomainEvent::MetricUpdate(MetricUpdate { metric: name.to_owned(), values })
}

fn details<const N: usize>(fields: [(&str, Value); N]) -> Option<Map<String, Value>> {
    Some(fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use osbackend_protocol::event::CloneStatus;

    use super::*;

    /// Ten minutes of business.
    fn session() -> Vec<Happening> {
        let mut feed = Feed::new(7);
        let mut all = feed.first();
        all.extend((0..2400).flat_map(|_| feed.step()));
        all
    }

    #[test]
    fn every_event_is_valid_and_goes_to_rooms() {
        for happening in session() {
            if let Happening::Event(event) = happening {
                assert_eq!(event.validate(), Ok(()), "{event:?}");
                assert!(!event.rooms().unwrap().is_empty());
            }
        }
    }

    #[test]
    fn the_first_values_cover_the_whole_page() {
        let first = Feed::new(1).first();
        let keys: BTreeSet<_> = first
            .iter()
            .filter_map(|happening| match happening {
                Happening::Event(event) => Some((event.kind(), event.classify().key)),
                Happening::Announcement { .. } => None,
            })
            .collect();
        let count = |kind: &str| keys.iter().filter(|(of, _)| *of == kind).count();
        assert_eq!((count("agent_status_change"), count("metric_update"), count("clip_played")), (8, 4, 6));
        assert!(count("voice_clone_progress") >= 2);
    }

    #[test]
    fn agents_come_and_go_jobs_end_and_milestones_are_told() {
        let mut statuses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let (mut completed, mut milestones, mut announcements) = (0, 0, 0);
        for happening in session() {
            match happening {
                Happening::Event(DomainEvent::AgentStatusChange(agent)) => {
                    statuses.entry(agent.agent_id).or_default().insert(agent.status);
                }
                Happening::Event(DomainEvent::VoiceCloneProgress(job)) => {
                    completed += usize::from(job.status == CloneStatus::Completed);
                    assert!(job.status != CloneStatus::Completed || job.progress == 100.0);
                }
                Happening::Event(DomainEvent::TrainingMilestone(_)) => milestones += 1,
                Happening::Announcement { .. } => announcements += 1,
                Happening::Event(_) => {}
            }
        }
        assert_eq!(statuses.len(), 8);
        assert!(statuses.values().all(|seen| seen.contains("online") && seen.contains("busy")), "{statuses:?}");
        assert!(statuses.values().any(|seen| seen.contains("offline")) && statuses.values().any(|seen| seen.contains("error")));
        assert!(completed >= 5 && milestones >= 15, "{completed} completed, {milestones} milestones");
        assert!((5..=15).contains(&announcements), "{announcements}");
    }

    #[test]
    fn numbers_move_smoothly_and_counters_never_fall() {
        let mut last: BTreeMap<(String, String), f64> = BTreeMap::new();
        let mut moved = 0;
        for happening in session() {
            let Happening::Event(DomainEvent::MetricUpdate(update)) = happening else { continue };
            for (name, value) in update.values {
                let MetricValue::Number(number) = value else { panic!("{name} is not a number") };
                let number = number.as_f64().unwrap();
                assert!(number.is_finite() && number >= 0.0, "{name}: {number}");
                if let Some(before) = last.insert((update.metric.clone(), name.clone()), number) {
                    moved += usize::from(before != number);
                    match name.as_str() {
                        "completed" | "failed" | "usd" | "leads" => assert!(number >= before, "{name} fell"),
                        "active" | "cpu" => assert!((number - before).abs() <= 12.0, "{name} jumped from {before} to {number}"),
                        _ => {}
                    }
                }
            }
        }
        assert!(moved > 2000, "{moved}");
    }

    #[test]
    fn a_seed_is_a_story() {
        let story = |seed| {
            let mut feed = Feed::new(seed);
            (0..50).flat_map(|_| feed.step()).collect::<Vec<_>>()
        };
        assert_eq!(story(3), story(3));
        assert_ne!(story(3), story(4));
    }
}
