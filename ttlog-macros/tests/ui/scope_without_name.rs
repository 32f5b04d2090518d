use ttlog_core::info_scope;

fn main() {
    let _scope = info_scope!();
}
