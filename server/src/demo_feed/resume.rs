//! The demo's business goes on from what a former process published: a kill of the server changes no number on the page.

use std::collections::HashSet;

use osbackend_protocol::{DomainEvent, RoomName};

use super::Feed;
use crate::engine::EngineError;
use crate::realtime::Handle;

/// The rooms that hold the newest state of agents, clone jobs and clips.
const ROOMS: [&str; 3] = ["dashboard:overview", "voice:training", "clips:analytics"];
/// Events that are read back at once.
const PAGE: usize = 500;

/// Sets agents, jobs and clips to their newest stored events. A room without events changes nothing.
pub(super) fn play(handle: &Handle, feed: &mut Feed) -> Result<(), EngineError> {
    for room in ROOMS.into_iter().filter_map(|room| RoomName::parse(room).ok()) {
        let mut seen = HashSet::new();
        let mut before = None;
        loop {
            let page = handle.history(room.clone(), before, PAGE, true)?;
            let Some(oldest) = page.events.last().and_then(|event| event.offset) else { break };
            for event in page.events {
                let Some(Ok(event)) = DomainEvent::parse(&event.kind, event.data.get()) else { continue };
                // Newest first: an older event of the same key is the past.
                if seen.insert((event.kind(), event.classify().key)) {
                    feed.resume(&event);
                }
            }
            before = Some(oldest);
        }
    }
    Ok(())
}

impl Feed {
    /// Goes on from a state that was published before. An event that the demo does not make is left alone.
    fn resume(&mut self, event: &DomainEvent) {
        match event {
            DomainEvent::AgentStatusChange(agent) => {
                for own in &mut self.agents {
                    own.resume(agent, &mut self.random);
                }
            }
            DomainEvent::VoiceCloneProgress(job) => self.jobs.resume(job),
            DomainEvent::ClipPlayed(clip) => {
                let number = clip.clip_id.strip_prefix("clip-").and_then(|number| number.parse::<usize>().ok());
                let plays = number.and_then(|number| self.clip_plays.get_mut(number.checked_sub(1)?));
                if let Some(plays) = plays {
                    *plays = clip.plays;
                }
            }
            // Metrics are resumed from the stored points; milestones have no state.
            DomainEvent::MetricUpdate(_) | DomainEvent::TrainingMilestone(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Happening;
    use super::*;

    /// The newest event of each key after some minutes of business, without metrics, which are stored as points.
    fn newest(feed: &mut Feed) -> Vec<DomainEvent> {
        let mut all = feed.first();
        all.extend((0..1_000).flat_map(|_| feed.step()));
        let mut seen = HashSet::new();
        let events = all.into_iter().rev().filter_map(|happening| match happening {
            Happening::Event(DomainEvent::MetricUpdate(_) | DomainEvent::TrainingMilestone(_)) => None,
            Happening::Event(event) => Some(event),
            Happening::Announcement { .. } => None,
        });
        events.filter(|event| seen.insert((event.kind(), event.classify().key))).collect()
    }

    /// The state of the business, without metrics.
    fn state(feed: &mut Feed) -> Vec<DomainEvent> {
        let events = feed.first().into_iter().filter_map(|happening| match happening {
            Happening::Event(DomainEvent::MetricUpdate(_)) | Happening::Announcement { .. } => None,
            Happening::Event(DomainEvent::ClipPlayed(mut clip)) => {
                clip.location = None;
                Some(DomainEvent::ClipPlayed(clip))
            }
            Happening::Event(event) => Some(event),
        });
        events.collect()
    }

    #[test]
    fn a_business_that_is_resumed_stands_where_the_former_one_was() {
        let mut former = Feed::new(7);
        let stored = newest(&mut former);
        let mut next = Feed::new(8);
        assert_ne!(state(&mut next), state(&mut former));
        for event in &stored {
            next.resume(event);
        }
        let (mut was, is) = (state(&mut former), state(&mut next));
        // A job that trains reports every third step only: the former one stood a little further than its newest report.
        for (was, is) in was.iter_mut().zip(&is) {
            if let (DomainEvent::VoiceCloneProgress(was), DomainEvent::VoiceCloneProgress(is)) = (was, is) {
                assert!((was.progress - is.progress).abs() <= 4.0, "{was:?} {is:?}");
                was.progress = is.progress;
            }
        }
        assert_eq!(is, was);
    }
}
