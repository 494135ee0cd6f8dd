//! Mappings: how records of one type become rows of another, as a document that a form can draw.
//!
//! [`document`] is the document and its strict reading, [`schema`] its JSON Schema, [`convert`] the table of what
//! converts without being told, [`mod@compile`] the check of a mapping against two record types, and [`program`] what
//! comes out of it: pure, and failing on values only. [`lookup`] finds what it has to know of other records, [`open`]
//! opens all that a mapping names. [`preview`] shows what one would do to real records, [`suggest`]
//! makes a first one from two types, [`mod@reverse`] turns one round, [`mod@diff`] compares two versions, and [`store`]
//! keeps them by name.

pub mod compile;
pub mod convert;
pub mod diff;
pub mod document;
mod expr;
pub mod lookup;
pub mod open;
pub mod preview;
mod problem;
pub mod program;
pub mod reverse;
pub mod schema;
pub mod shape;
mod step;
pub mod store;
pub mod suggest;
mod template;
mod value;

pub use compile::{Compiled, LookedUp, Settings, Types, compile, compile_with};
pub use document::Mapping;
pub use lookup::{Answer, Answers, Ask, Creating, Lookup, Lookups};
pub use open::{Opened, Side, Sides};
pub use problem::{Problem, Severity};
pub use program::{Given, Mapped, Program, Transfer};
