//! Drift: how changes of record types are classified, and what the commands say.

mod classes;
mod on_the_command_line;
