async fn read(can: rest::Can<policy::action::Read<model::Asset>>) -> String {
    can.granted.on().name.clone()
}
fn main() {
    let _ = rest::guarded_get(read);
}
