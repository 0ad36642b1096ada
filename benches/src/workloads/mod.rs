//! The workloads by family. Each function says what one operation is.

pub mod bare;
pub mod blocking;
pub mod callbacks;
pub mod messages;
pub mod net;
pub mod primitives;
pub mod resting;
pub mod spawn;
pub mod switch;
pub mod timers;
pub mod together;
pub mod wake;
