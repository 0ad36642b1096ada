//! The names of the calls in `transfer.rs`, given to each type that reads or writes.
//!
//! Each type has a method `io(&self) -> &Io<Stream>`.

/// Inherent methods for reading, and `AsyncRead`.
macro_rules! reads {
    ($ty:ident $(<$a:lifetime>)?) => {
        impl $(<$a>)? $ty $(<$a>)? {
            /// Reads what has arrived, waiting for the first byte; 0 is the end of the stream (or an empty `buf`, which never
            /// waits).
            ///
            /// # Cancel safety
            ///
            /// Dropping the future before it is ready takes nothing from the stream.
            ///
            /// # Errors
            ///
            /// What the system reports, for instance `ConnectionReset`.
            ///
            /// # Panics
            ///
            /// If no reactor is current when it first waits: "no running event loop".
            #[track_caller]
            pub fn read<'b>(
                &'b mut self,
                buf: &'b mut [u8],
            ) -> impl Future<Output = io::Result<usize>> + Send + 'b {
                let (io, place) = (self.io(), Location::caller());
                poll_fn(move |cx| transfer::poll_read(io, place, cx, buf))
            }

            /// Fills `buf`.
            ///
            /// # Cancel safety
            ///
            /// Not safe: dropping the future loses what had been read.
            ///
            /// # Errors
            ///
            /// `UnexpectedEof` if the stream ends first; what had come by then is lost. Else as [`read`](Self::read).
            ///
            /// # Panics
            ///
            /// As [`read`](Self::read).
            #[track_caller]
            pub fn read_exact<'b>(
                &'b mut self,
                buf: &'b mut [u8],
            ) -> impl Future<Output = io::Result<()>> + Send + 'b {
                transfer::read_exact(self.io(), Location::caller(), buf)
            }
        }

        reads!(@trait $ty $(<$a>)?, $ty $(<$a>)?);
    };
    (@trait $ty:ident $(<$a:lifetime>)?, $impl:ty) => {
        impl $(<$a>)? AsyncRead for $impl {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                transfer::poll_read(self.io(), Location::caller(), cx, buf)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                transfer::poll_read_vectored(self.io(), Location::caller(), cx, bufs)
            }
        }
    };
}

/// Inherent methods for writing, and `AsyncWrite`.
macro_rules! writes {
    ($ty:ident $(<$a:lifetime>)?) => {
        impl $(<$a>)? $ty $(<$a>)? {
            /// Writes some of `buf`, waiting for room; returns how much.
            ///
            /// # Cancel safety
            ///
            /// Dropping the future before it is ready writes nothing.
            ///
            /// # Errors
            ///
            /// What the system reports, for instance `BrokenPipe`.
            ///
            /// # Panics
            ///
            /// If no reactor is current when it first waits: "no running event loop".
            #[track_caller]
            pub fn write<'b>(
                &'b mut self,
                buf: &'b [u8],
            ) -> impl Future<Output = io::Result<usize>> + Send + 'b {
                let (io, place) = (self.io(), Location::caller());
                poll_fn(move |cx| transfer::poll_write(io, place, cx, buf))
            }

            /// As [`write`](Self::write), from several pieces in order.
            ///
            /// # Cancel safety
            ///
            /// As [`write`](Self::write).
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write).
            ///
            /// # Panics
            ///
            /// As [`write`](Self::write).
            #[track_caller]
            pub fn write_vectored<'b>(
                &'b mut self,
                bufs: &'b [IoSlice<'b>],
            ) -> impl Future<Output = io::Result<usize>> + Send + 'b {
                let (io, place) = (self.io(), Location::caller());
                poll_fn(move |cx| transfer::poll_write_vectored(io, place, cx, bufs))
            }

            /// Writes all of `buf`.
            ///
            /// # Cancel safety
            ///
            /// Not safe: dropping the future leaves it unknown how much was written.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write).
            ///
            /// # Panics
            ///
            /// As [`write`](Self::write).
            #[track_caller]
            pub fn write_all<'b>(
                &'b mut self,
                buf: &'b [u8],
            ) -> impl Future<Output = io::Result<()>> + Send + 'b {
                transfer::write_all(self.io(), Location::caller(), buf)
            }

            /// Does nothing: a socket keeps nothing back.
            ///
            /// # Cancel safety
            ///
            /// Ready at once.
            ///
            /// # Errors
            ///
            /// None.
            pub async fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        writes!(@trait $ty $(<$a>)?, $ty $(<$a>)?);
    };
    (@trait $ty:ident $(<$a:lifetime>)?, $impl:ty) => {
        impl $(<$a>)? AsyncWrite for $impl {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                transfer::poll_write(self.io(), Location::caller(), cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                transfer::poll_write_vectored(self.io(), Location::caller(), cx, bufs)
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            /// Shuts writing down; the peer reads the end of the stream.
            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(transfer::close_writing(self.io()))
            }
        }
    };
}
