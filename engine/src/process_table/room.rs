//! Keeps the table within its limits: what is cut, and who is forgotten, in which order.

use std::sync::Arc;

use super::{EntityId, Image, ProcessTable};

impl ProcessTable {
    /// Cuts an image's arguments when the living have used up all bytes.
    pub(super) fn fit(&mut self, image: Arc<Image>) -> Arc<Image> {
        let keep = self.limits.arguments_when_full;
        let room = self.limits.bytes.saturating_sub(self.bytes);
        // One that the parent holds already takes no more room.
        let shared = Arc::strong_count(&image) > 1;
        if shared || image.bytes() <= room || !self.ended.is_empty() || image.arguments.len() <= keep {
            return image;
        }
        self.counters.arguments_cut += 1;
        let cut = image.arguments.floor_char_boundary(keep);
        let arguments = image.arguments.get(..cut).unwrap_or_default().into();
        Arc::new(Image { arguments, truncated: true, ..Image::clone(&image) })
    }

    /// Brings the table back within its limits, but never forgets `keep`, whose event is being told.
    pub(super) fn make_room(&mut self, keep: EntityId) {
        self.forget_until_it_fits(keep);
        // Ids of processes that ended or were forgotten pile up here; let them go now and then.
        if self.arrivals.len() > 2 * self.processes.len() + 64 {
            let processes = &self.processes;
            self.arrivals.retain(|id| processes.get(id).is_some_and(|process| !process.ended));
        }
    }

    /// Forgets processes until the limits hold again, but never `keep`. The living keep their paths even when there is no
    /// more room for text, up to twice the room; then the oldest are forgotten.
    fn forget_until_it_fits(&mut self, keep: EntityId) {
        let mut second_chances = 16;
        while self.ended.len() > self.limits.ended
            || self.processes.len() > self.limits.processes
            || (self.bytes > self.limits.bytes && !self.ended.is_empty())
            || self.bytes > self.limits.bytes.saturating_mul(2)
        {
            let Some(id) = self.ended.pop_front() else {
                if !self.forget_oldest_living(keep) {
                    return;
                }
                continue;
            };
            if id == keep {
                self.ended.push_back(id);
                let full = self.processes.len() > self.limits.processes;
                if self.ended.len() == 1 && !(full && self.forget_oldest_living(keep)) {
                    return;
                }
                continue;
            }
            let wanted = self.processes.get(&id).is_some_and(|process| process.living_children > 0);
            if wanted && second_chances > 0 {
                second_chances -= 1;
                self.ended.push_back(id);
                continue;
            }
            self.forget(id);
            self.counters.forgotten_ended += 1;
        }
    }

    fn forget_oldest_living(&mut self, keep: EntityId) -> bool {
        while let Some(id) = self.arrivals.pop_front() {
            if id == keep {
                self.arrivals.push_back(id);
                if self.arrivals.len() == 1 {
                    return false;
                }
            } else if self.processes.get(&id).is_some_and(|process| !process.ended) {
                self.leave_parent(id);
                self.forget(id);
                self.counters.forgotten_living += 1;
                return true;
            }
        }
        false
    }

    fn forget(&mut self, id: EntityId) {
        if let Some(process) = self.processes.remove(&id) {
            self.release(process.image);
            process.previous.into_iter().for_each(|image| self.release(image));
        }
        if self.by_pid.get(&id.pid) == Some(&id) {
            self.by_pid.remove(&id.pid);
        }
    }
}
