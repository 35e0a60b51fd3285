//! How the states of the module that runs stand among those that the subtask has.

mod layers;
mod rewriting;

use gristmill_checkpoint::Seating;
use gristmill_checkpoint::seating::{Move, Place};
use gristmill_ports::state::StateTime;
use gristmill_ports::{StateBackend, Stateless};
use gristmill_types::{CallFailure, EventBatch, StateIndex};

use self::layers::{Layers, View};
pub(crate) use self::rewriting::{MOST_OF_A_KEY, PAGE_BYTES, PAGE_KEYS, Rewriting, migration};

/// A subtask's keyed state, and how the module sees it.
pub(crate) struct States {
    /// All of it, seen as the module does.
    pub(crate) backend: Box<dyn StateBackend>,
    /// Of the outermost layer, if there are layers.
    view: Option<View>,
    /// Where the states of the module stand, if not in the order in which it declares them.
    seats: Option<Vec<StateIndex>>,
    rewriting: Option<Rewriting>,
}

/// What the states of another module need to take the place of those that run.
pub(crate) struct NextStates {
    /// See [`States`].
    pub(crate) seats: Option<Vec<StateIndex>>,
    /// A backend for those that are new, and the first of them.
    pub(crate) layer: Option<(Box<dyn StateBackend>, StateIndex)>,
    pub(crate) rewriting: Option<Rewriting>,
}

/// How states were seen before a swap.
pub(crate) struct FormerStates {
    seats: Option<Vec<StateIndex>>,
    rewriting: Option<Rewriting>,
}

impl States {
    /// States of which the module sees each where it declares it.
    pub(crate) fn plain(backend: Box<dyn StateBackend>) -> Self {
        Self { backend, view: None, seats: None, rewriting: None }
    }

    /// States that are there, as the module is seated among them.
    pub(crate) fn seated(backend: Box<dyn StateBackend>, seating: &Seating, rewriting: Option<Rewriting>) -> Self {
        let mut states = Self { rewriting, ..Self::plain(backend) };
        if !seating.is_plain() {
            states.see(Some(seating.seats.clone()));
        }
        states
    }

    /// Moves what these events' keys have in the schema of another version.
    ///
    /// # Errors
    /// See [`Rewriting::rewrite`].
    pub(crate) fn rewrite(&mut self, events: &EventBatch, time: StateTime) -> Result<(), CallFailure> {
        let Some(rewriting) = &mut self.rewriting else { return Ok(()) };
        self.view.iter().for_each(View::see_whole);
        let rewritten = rewriting.rewrite(events, &mut *self.backend, time);
        self.look();
        rewritten
    }

    /// The same of one state, as the module names it.
    ///
    /// # Errors
    /// See [`Rewriting::rewrite`].
    pub(crate) fn rewrite_state(
        &mut self,
        named: StateIndex,
        events: &EventBatch,
        time: StateTime,
    ) -> Result<(), CallFailure> {
        let seat = self.seat(named);
        let Some(rewriting) = &mut self.rewriting else { return Ok(()) };
        self.view.iter().for_each(View::see_whole);
        let rewritten = rewriting.rewrite_into(seat, events, &mut *self.backend, time);
        self.look();
        rewritten
    }

    /// Where what is in the schema of another version of a state stands, which the module names so.
    pub(crate) fn former(&self, named: StateIndex) -> Vec<Place> {
        self.rewriting.as_ref().map(|rewriting| rewriting.former_of(self.seat(named))).unwrap_or_default()
    }

    /// Works, in the transaction that is open, on states by their places.
    pub(crate) fn whole<T>(&mut self, work: impl FnOnce(&mut dyn StateBackend) -> T) -> T {
        self.view.iter().for_each(View::see_whole);
        let worked = work(&mut *self.backend);
        self.look();
        worked
    }

    fn seat(&self, named: StateIndex) -> StateIndex {
        self.seats.as_ref().and_then(|seats| seats.get(named.at()).copied()).unwrap_or(named)
    }

    /// Another module's states take over. Cannot fail.
    pub(crate) fn hand_over(&mut self, next: NextStates) -> FormerStates {
        let former = FormerStates { seats: self.seats.take(), rewriting: self.rewriting.take() };
        if let Some((layer, first)) = next.layer {
            self.view.take().iter().for_each(View::see_whole);
            self.put_below(|below, view| Layers::seen(below, view).with(layer, first));
        }
        self.see(next.seats);
        self.rewriting = next.rewriting;
        former
    }

    /// The states that were seen before take over again: what was moved out of them is moved back.
    pub(crate) fn take_back(&mut self, former: FormerStates) {
        let FormerStates { seats, rewriting } = former;
        let is_seen = |one: &Move| seats.as_ref().is_none_or(|seats| seats.contains(&one.from.seat));
        let back = self.rewriting.take().and_then(|rewriting| rewriting.back(is_seen));
        self.rewriting = back.or(rewriting);
        self.see(seats);
    }

    /// All that was to be moved was.
    pub(crate) fn note_rewritten(&mut self) {
        self.rewriting = None;
    }

    fn see(&mut self, seats: Option<Vec<StateIndex>>) {
        if seats.is_some() && self.view.is_none() {
            self.put_below(Layers::seen);
        }
        self.seats = seats;
        self.look();
    }

    fn look(&self) {
        match (&self.view, &self.seats) {
            (Some(view), Some(seats)) => view.see(seats),
            (Some(view), None) => view.see_whole(),
            (None, _) => {}
        }
    }

    fn put_below(&mut self, layers: impl FnOnce(Box<dyn StateBackend>, View) -> Layers) {
        let view = View::default();
        let below = std::mem::replace(&mut self.backend, Box::new(Stateless));
        self.backend = Box::new(layers(below, view.clone()));
        self.view = Some(view);
    }
}
