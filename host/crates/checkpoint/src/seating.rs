//! How the states that a module declares stand among those that are there already.
//!
//! Files name a state by its place in a list that only grows while an attempt runs. A state that changed its schema stands
//! in that list twice, under one name: what is in the old one is moved into the new one, key by key, in the course of
//! ordinary calls. So every checkpoint meanwhile is an ordinary checkpoint.

use gristmill_types::StateIndex;
use gristmill_types::descriptor::{StateKind, StateSpec};

/// A list of states, and how a module sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seating {
    /// All of them, by the place under which files name them: those that were there first, in their order.
    pub states: Vec<StateSpec>,
    /// Where each state that the module declares stands, in the order of its declaration.
    pub seats: Vec<StateIndex>,
    /// What is to be moved into a state that the module declares.
    pub moves: Vec<Move>,
}

/// All that is in one state is to go into another one of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Their name.
    pub state: String,
    /// Out of this one.
    pub from: Place,
    /// Into this one.
    pub to: Place,
}

/// A state as one end of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where it stands in the list.
    pub seat: StateIndex,
    /// Its schema version.
    pub version: u32,
    /// Its kind.
    pub kind: StateKind,
}

impl Move {
    /// The way back.
    #[must_use]
    pub fn back(&self) -> Self {
        Self { state: self.state.clone(), from: self.to, to: self.from }
    }
}

impl Seating {
    /// Seats what a module declares among states that are there. What it does not declare stays where it is, unseen.
    #[must_use]
    pub fn among(there: &[StateSpec], declared: &[StateSpec]) -> Self {
        let mut states = there.to_vec();
        let seats: Vec<StateIndex> = declared.iter().map(|one| seat_of(&mut states, one)).collect();
        let moves = seats.iter().flat_map(|to| moves_into(*to, &states)).collect();
        Self { states, seats, moves }
    }

    /// Seats what a module declares in a state that is to be filled from a checkpoint: what nobody asks for any more is left
    /// out, and times to live are those of the module.
    #[must_use]
    pub fn restored(stored: &[StateSpec], declared: &[StateSpec]) -> Self {
        let asked_for = |there: &&StateSpec| declared.iter().any(|one| one.name == there.name);
        let renewed = |there: &StateSpec| declared.iter().find(|one| is_same(one, there)).unwrap_or(there).clone();
        let there: Vec<StateSpec> = stored.iter().filter(asked_for).map(renewed).collect();
        Self::among(&there, declared)
    }

    /// Whether the module's own list is the list.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.states.len() == self.seats.len() && (0..).zip(&self.seats).all(|(at, seat)| seat.0 == at)
    }

    /// The list once all moves are made: what was moved out of a state leaves an empty one under no name, which nobody
    /// asks for.
    #[must_use]
    pub fn moved(states: &[StateSpec], moves: &[Move]) -> Vec<StateSpec> {
        let mut states = states.to_vec();
        for one in moves {
            states[one.from.seat.at()].name.clear();
        }
        states
    }
}

/// Whether entries of one can be read as entries of the other.
fn is_same(one: &StateSpec, other: &StateSpec) -> bool {
    (&one.name, one.version, one.kind, one.scope) == (&other.name, other.version, other.kind, other.scope)
}

fn seat_of(states: &mut Vec<StateSpec>, declared: &StateSpec) -> StateIndex {
    let there = states.iter().position(|there| is_same(there, declared));
    index(there.unwrap_or_else(|| {
        states.push(declared.clone());
        states.len() - 1
    }))
}

/// From every other state of the same name.
fn moves_into(to: StateIndex, states: &[StateSpec]) -> Vec<Move> {
    let place = |at: usize| Place { seat: index(at), version: states[at].version, kind: states[at].kind };
    let state = &states[to.at()].name;
    let others = (0..states.len()).filter(|&at| at != to.at() && states[at].name == *state);
    others.map(|from| Move { state: state.clone(), from: place(from), to: place(to.at()) }).collect()
}

fn index(at: usize) -> StateIndex {
    StateIndex(u32::try_from(at).expect("a module declares some states, and a list grows by those"))
}

#[cfg(test)]
mod tests;
