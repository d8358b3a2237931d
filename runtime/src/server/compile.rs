//! How a server compiles components, as whoever starts it wants it.

use super::Server;
use crate::codec::wasm::{CompileObserver, Compiler};
use crate::config::CompileConfig;

impl Server {
    /// Sets how components are compiled.
    pub fn compile(mut self, config: CompileConfig) -> Self {
        self.compile = config;
        self
    }

    /// Sets where components are compiled: in this process, unless it is told otherwise. The server gives
    /// the compiler the limits of [`Server::compile`] and a queue of its own.
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// Tells of each component that is compiled, at the start and at swaps.
    pub fn on_compiling(mut self, observer: CompileObserver) -> Self {
        self.on_compiling = Some(observer);
        self
    }
}
