//! snmalloc's C interface, which its own preload library exports without the prefix. Its operators new and delete are the same
//! functions with a new-handler for the failing case; the common ones are exported as exactly that.

use peer_linking::{C_FAMILY, Exports};

fn main() {
    let with_prefix: Vec<(&str, String)> = C_FAMILY.iter().map(|name| (*name, format!("sn_{name}"))).collect();
    let mut exports = Exports::default();
    for (public, own) in &with_prefix {
        exports = exports.alias(public, own);
    }
    exports
        .aliases(&[
            ("free_sized", "sn_free_sized"),
            ("_Znwm", "sn_malloc"),
            ("_Znam", "sn_malloc"),
            ("_ZdlPv", "sn_free"),
            ("_ZdaPv", "sn_free"),
            ("_ZdlPvm", "sn_free_sized"),
            ("_ZdaPvm", "sn_free_sized"),
        ])
        .finish("snmalloc-sys");
}
