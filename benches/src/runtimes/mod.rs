//! The runtimes that are compared, one file each.

mod asyncio;
mod smol;
mod threads;
mod tokio;

pub use self::asyncio::{Asyncio, AsyncioKit};
pub use self::smol::{Smol, SmolKit, SmolLocal, SmolStatic};
pub use self::threads::{Flume, Kanal};
pub use self::tokio::{Tokio, TokioCurrentThread, TokioKit};
