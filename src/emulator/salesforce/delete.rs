//! Deletes, with what goes along and what forbids them.

use super::cell::Cell;
use super::errors::Refusal;
use super::found;
use super::rows::Place;
use super::write::{Refusals, Work};

/// How deep deletes cascade.
const DEEPEST_CASCADE: usize = 8;

impl Work<'_> {
    /// Deletes a row with everything that its describe says goes with it.
    ///
    /// # Errors
    /// DELETE_FAILED when rows of a type that forbids it refer to the row.
    pub(super) fn delete(&mut self, at: Place) -> Result<(), Refusals> {
        if !self.store.object(at.table).deletable {
            return Err(vec![Refusal::new(
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
                "entity type cannot be deleted",
            )]);
        }
        let mut doomed = vec![at];
        let mut freed = Vec::new();
        self.gather(at, at, &mut doomed, &mut freed, 0)?;
        for (child, field) in
            freed.into_iter().filter(|(child, _)| !doomed.contains(child)).collect::<Vec<_>>()
        {
            self.remember(child);
            self.store.set(child, field, Cell::Null);
            self.stamp(child);
        }
        for row in doomed {
            self.remember(row);
            self.touch(row);
            self.store.delete(row, self.now);
        }
        Ok(())
    }

    /// What a delete takes along (`doomed`) and what loses its reference (`freed`).
    fn gather(
        &self,
        first: Place,
        at: Place,
        doomed: &mut Vec<Place>,
        freed: &mut Vec<(Place, usize)>,
        depth: usize,
    ) -> Result<(), Refusals> {
        if depth > DEEPEST_CASCADE {
            return Ok(());
        }
        let object = std::sync::Arc::clone(self.store.object(at.table));
        for relation in &object.children {
            let Some(table) = self.store.any_table(&relation.object) else { continue };
            let Some(field) = self.store.object(table).any_field(&relation.field) else { continue };
            let children: Vec<Place> = found::children(self.store, at, table, field)
                .into_iter()
                .map(|index| Place { table, index })
                .filter(|child| !doomed.contains(child))
                .collect();
            if children.is_empty() {
                continue;
            }
            if relation.restrict {
                return Err(vec![self.restricted(first, &children)]);
            }
            for child in children {
                if relation.cascade {
                    doomed.push(child);
                    self.gather(first, child, doomed, freed, depth + 1)?;
                } else if self.store.object(table).fields.get(field).is_some_and(|field| field.nillable) {
                    freed.push((child, field));
                }
            }
        }
        Ok(())
    }

    fn restricted(&self, at: Place, children: &[Place]) -> Refusal {
        let name = |at: Place| {
            let object = self.store.object(at.table);
            object.name_field().map_or_else(|| self.store.id(at), |field| self.store.cell(at, field).plain())
        };
        let kind = children
            .first()
            .map_or_else(String::new, |child| self.store.object(child.table).label_plural.to_lowercase());
        let names: Vec<String> = children.iter().take(10).map(|child| name(*child)).collect();
        Refusal::of_fields(
            "DELETE_FAILED",
            format!(
                "Your attempt to delete {} could not be completed because it is associated with the following {kind}.: {}\n",
                name(at),
                names.join(", ")
            ),
            &[],
        )
    }
}
