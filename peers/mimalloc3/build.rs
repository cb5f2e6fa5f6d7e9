//! mimalloc's `override` build defines the whole C and C++ family as aliases of its own functions.

use peer_linking::{C_FAMILY, CXX_FAMILY, Exports};

fn main() {
    Exports::default()
        .named(&C_FAMILY)
        .named(&CXX_FAMILY)
        .named(&["mi_version", "mi_collect"])
        .finish("libmimalloc-sys");
}
