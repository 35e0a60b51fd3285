//! Checks what `migrate` returned, before anybody believes it (rule 22).

use gristmill_ports::migration::{Entries, Migration};
use gristmill_types::Column;
use gristmill_types::descriptor::StateKind;
use gristmill_types::failure::GuestFault;

use crate::bindings::migration::EntriesResult;
use crate::fault::{invalid, over_output_limit};
use crate::limits::Limits;
use crate::outcome::column;

/// Against what an answer is checked.
pub(crate) struct Check<'a> {
    pub(crate) migration: Migration<'a>,
    /// What the guest was given.
    pub(crate) page: &'a Entries,
    pub(crate) limits: &'a Limits,
    /// Bytes that the call may still hand over.
    pub(crate) budget: usize,
}

impl Check<'_> {
    /// The answer in our own types: with all keys of the page, also those that the guest left out.
    ///
    /// # Errors
    /// The first thing in it that the contract forbids.
    pub(crate) fn entries(&self, said: EntriesResult) -> Result<Entries, GuestFault> {
        let keys = column("keys of migrated entries", said.keys)?;
        let map_keys = column("map keys of migrated entries", said.map_keys)?;
        let values = column("values of migrated entries", said.values)?;
        let bytes = keys.bytes() + 4 * said.owners.len() + map_keys.bytes() + values.bytes();
        if bytes > self.budget {
            return Err(over_output_limit(self.limits));
        }
        let places = self.places_of(&keys)?;
        let answer = Entries { keys, owners: said.owners, map_keys, values };
        self.check_owners(&answer)?;
        match self.migration.to_kind {
            StateKind::Value | StateKind::Accumulator => {
                self.check_no_map_keys(&answer)?;
                self.check_one_each(&answer)?;
            }
            StateKind::AppendList => {
                self.check_no_map_keys(&answer)?;
                self.check_items(&answer)?;
            }
            StateKind::OrderedMap => self.check_names(&answer)?,
        }
        let Entries { owners, map_keys, values, .. } = answer;
        let owners = owners.into_iter().map(|owner| places[owner as usize]).collect();
        Ok(Entries { keys: self.page.keys.clone(), owners, map_keys, values })
    }

    /// Where the page has the keys of the answer. What is left out of a page is a key that has no state any more.
    fn places_of(&self, keys: &Column) -> Result<Vec<u32>, GuestFault> {
        let mut given = (0_u32..).zip(self.page.keys.iter());
        let place = |(at, key)| {
            let found = given.find(|(_, known)| *known == key);
            found.map(|(place, _)| place).ok_or_else(|| {
                self.wrong(format!("key {at} of the answer is not one of the page's {}, or not in their order", {
                    self.page.keys.len()
                }))
            })
        };
        keys.iter().enumerate().map(place).collect()
    }

    fn check_owners(&self, answer: &Entries) -> Result<(), GuestFault> {
        let Entries { keys, owners, values, .. } = answer;
        if owners.len() != values.len() {
            return Err(self.wrong(format!("{} values have {} owners", values.len(), owners.len())));
        }
        if let Some(at) = (1..owners.len()).find(|&at| owners[at] < owners[at - 1]) {
            return Err(self.wrong(format!("owners do not ascend at their place {at}: a key's entries stand together")));
        }
        match owners.last() {
            Some(&last) if last as usize >= keys.len() => {
                Err(self.wrong(format!("an entry belongs to key {last}, but the answer has {} keys", keys.len())))
            }
            _ => Ok(()),
        }
    }

    fn check_no_map_keys(&self, answer: &Entries) -> Result<(), GuestFault> {
        let count = answer.map_keys.len();
        if count == 0 { Ok(()) } else { Err(self.wrong(format!("{count} map keys for a state that is no map"))) }
    }

    fn check_one_each(&self, answer: &Entries) -> Result<(), GuestFault> {
        match answer.owners.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(self.wrong(format!("key {} has two values, but the state holds one for each", pair[0]))),
            None => Ok(()),
        }
    }

    fn check_items(&self, answer: &Entries) -> Result<(), GuestFault> {
        match answer.values.nulls().first() {
            Some(at) => Err(self.wrong(format!("item {at} is null; leave out what is to go"))),
            None => Ok(()),
        }
    }

    fn check_names(&self, answer: &Entries) -> Result<(), GuestFault> {
        let Entries { owners, map_keys, values, .. } = answer;
        if map_keys.len() != values.len() {
            return Err(self.wrong(format!("{} values have {} map keys", values.len(), map_keys.len())));
        }
        if let Some(at) = map_keys.nulls().first() {
            return Err(self.wrong(format!("map key {at} is null")));
        }
        let is_behind =
            |at: &usize| owners[*at] == owners[at - 1] && map_keys.bytes_of(*at) <= map_keys.bytes_of(at - 1);
        match (1..owners.len()).find(is_behind) {
            Some(at) => Err(self.wrong(format!(
                "map key {at} does not follow the one before: those of one key are distinct and ascend by their bytes"
            ))),
            None => Ok(()),
        }
    }

    fn wrong(&self, what: impl std::fmt::Display) -> GuestFault {
        invalid(format!("`migrate` of state `{}`: {what}", self.migration.state))
    }
}
