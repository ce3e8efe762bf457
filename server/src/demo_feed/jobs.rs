//! Voice clone jobs of the demo's user: queued, trained with milestones on the way, done or failed, and again.

use osbackend_protocol::DomainEvent;
use osbackend_protocol::event::{CloneStatus, TrainingMilestone, VoiceCloneProgress};

use super::{Random, details};

/// Whose jobs they are: the user of the token that `--dev` prints.
const USER: &str = "demo-user";
/// Names are used again: each job id has a place in the snapshot for good.
const VOICES: [&str; 4] = ["Warm narrator", "Support, calm", "Sales, bright", "Announcer"];
const MILESTONES: [(f64, &str); 4] =
    [(8.0, "dataset_validated"), (35.0, "first_samples"), (65.0, "speaker_similarity_90"), (92.0, "quality_check_passed")];
/// Steps between two reports of a job in training.
const REPORT_EVERY: u64 = 3;

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Queued { left: u64 },
    Training { percent: f64, speed: f64 },
    Ended { failed: bool, left: u64 },
}

struct Job {
    number: usize,
    phase: Phase,
    age: u64,
}

pub(super) struct Jobs(Vec<Job>);

impl Jobs {
    pub(super) fn new() -> Self {
        let phases = [
            Phase::Training { percent: 46.0, speed: 0.35 },
            Phase::Training { percent: 12.0, speed: 0.25 },
            Phase::Queued { left: 24 },
            Phase::Ended { failed: false, left: 60 },
        ];
        Self(phases.into_iter().enumerate().map(|(index, phase)| Job { number: index + 1, phase, age: index as u64 }).collect())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = DomainEvent> {
        self.0.iter().map(Job::event)
    }

    /// Goes on from a report of one of the jobs that was published before.
    pub(super) fn resume(&mut self, report: &VoiceCloneProgress) {
        let Some(job) = self.0.iter_mut().find(|job| report.job_id.as_deref() == Some(&job.id())) else { return };
        job.phase = match report.status {
            CloneStatus::Queued => Phase::Queued { left: 16 },
            CloneStatus::Processing => Phase::Training { percent: report.progress, speed: 0.35 },
            CloneStatus::Completed => Phase::Ended { failed: false, left: 60 },
            CloneStatus::Failed => Phase::Ended { failed: true, left: 60 },
        };
    }

    pub(super) fn step(&mut self, random: &mut Random) -> Vec<DomainEvent> {
        self.0.iter_mut().flat_map(|job| job.step(random)).collect()
    }
}

impl Job {
    fn step(&mut self, random: &mut Random) -> Vec<DomainEvent> {
        self.age += 1;
        let before = self.phase;
        let mut events = Vec::new();
        self.phase = match before {
            Phase::Queued { left: 0 } => Phase::Training { percent: 0.0, speed: random.within(0.2, 0.6) },
            Phase::Queued { left } => Phase::Queued { left: left - 1 },
            Phase::Training { percent, .. } if percent >= 100.0 => {
                Phase::Ended { failed: false, left: random.within(50.0, 110.0) as u64 }
            }
            Phase::Training { .. } if random.chance(0.0004) => Phase::Ended { failed: true, left: 60 },
            Phase::Training { percent, speed } => {
                let now = (percent + random.within(0.2, 1.8) * speed).min(100.0);
                let reached = MILESTONES.iter().filter(|(at, _)| percent < *at && *at <= now);
                events.extend(reached.map(|(_, name)| self.milestone(name)));
                Phase::Training { percent: now, speed }
            }
            Phase::Ended { left: 0, .. } => Phase::Queued { left: random.within(8.0, 24.0) as u64 },
            Phase::Ended { failed, left } => Phase::Ended { failed, left: left - 1 },
        };
        let reports = match (before, self.phase) {
            (Phase::Training { .. }, Phase::Training { .. }) => self.age.is_multiple_of(REPORT_EVERY),
            (before, now) => std::mem::discriminant(&before) != std::mem::discriminant(&now),
        };
        if reports {
            events.push(self.event());
        }
        if matches!((before, self.phase), (Phase::Training { .. }, Phase::Ended { failed: false, .. })) {
            events.push(self.milestone("voice_ready"));
        }
        events
    }

    fn id(&self) -> String {
        format!("job-{}", self.number)
    }

    fn voice(&self) -> &'static str {
        VOICES[(self.number - 1) % VOICES.len()]
    }

    fn event(&self) -> DomainEvent {
        let (status, progress, doing) = match self.phase {
            Phase::Queued { .. } => (CloneStatus::Queued, 0.0, "waiting for a trainer"),
            Phase::Training { percent, .. } if percent < 8.0 => (CloneStatus::Processing, percent, "checking the recordings"),
            Phase::Training { percent, .. } if percent < 92.0 => (CloneStatus::Processing, percent, "learning the voice"),
            Phase::Training { percent, .. } => (CloneStatus::Processing, percent, "checking the quality"),
            Phase::Ended { failed: false, .. } => (CloneStatus::Completed, 100.0, "ready"),
            Phase::Ended { failed: true, .. } => (CloneStatus::Failed, 0.0, "the recordings are too noisy"),
        };
        DomainEvent::VoiceCloneProgress(VoiceCloneProgress {
            user_id: USER.to_owned(),
            job_id: Some(self.id()),
            status,
            progress: (progress * 10.0).round() / 10.0,
            message: Some(format!("{}: {doing}", self.voice())),
        })
    }

    fn milestone(&self, name: &str) -> DomainEvent {
        DomainEvent::TrainingMilestone(TrainingMilestone {
            user_id: USER.to_owned(),
            milestone: name.to_owned(),
            details: details([("jobId", self.id().into()), ("voice", self.voice().into())]),
        })
    }
}
