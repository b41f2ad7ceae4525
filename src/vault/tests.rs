use super::*;
use proptest::prelude::*;

/// Encrypted by ansible-vault 2.21.5.
const RECORDED: &str = "$ANSIBLE_VAULT;1.1;AES256
34303634646333393333613738326235626166643931393265396466663862313364353330343032
3866663964646636356635613834303336656431366135310a353331653535653262616330376136
38353030336137643435396264366631316534636131366232306438393234353834623066656538
6134623731366434330a613462333233633637323464386535626434636466393066313133343335
6536
";

fn key(label: &str, password: &str) -> Key {
    Key { label: label.to_owned(), password: Password::new(password.into()) }
}

fn open(keys: &[Key], only_matching: bool, text: &str) -> Result<(String, String), Error> {
    let ring = Keyring::new(keys.to_vec(), only_matching);
    let opened = ring.decrypt(&Envelope::parse(text.as_bytes())?)?;
    Ok((opened.key.label.clone(), String::from_utf8_lossy(&opened.plain).into_owned()))
}

#[test]
fn reads_what_ansible_vault_wrote_and_writes_the_same() {
    let keys = [key("default", "pw1")];
    assert_eq!(open(&keys, false, RECORDED), Ok(("default".to_owned(), "text\n".to_owned())));
    let again = Envelope::seal(b"text\n", b"pw1", None, Envelope::parse(RECORDED.as_bytes()).unwrap().sealed.salt);
    assert_eq!(again.to_text(), RECORDED);
}

#[test]
fn labels_say_which_password_is_tried() {
    let text = Envelope::seal(b"x", b"right", Some("prod"), b"salty".to_vec()).to_text();
    assert!(text.starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));
    let (right, wrong) = (key("other", "right"), key("prod", "wrong"));
    assert_eq!(open(&[wrong.clone(), right.clone()], false, &text), Ok(("other".to_owned(), "x".to_owned())));
    assert_eq!(open(&[wrong, right], true, &text), Err(Error::NoneFits));
    assert_eq!(open(&[], false, &text), Err(Error::NoPasswords));
}

#[test]
fn what_is_damaged_is_told_apart() {
    let cases = [
        ("foo: bar", Error::NotEncrypted),
        ("$ANSIBLE_VAULT;1.1", Error::Header("a cipher")),
        ("$ANSIBLE_VAULT;1.1;AES\n61", Error::Cipher("AES".to_owned())),
        ("$ANSIBLE_VAULT;1.1;AES256\n616", Error::Hex("Odd-length string")),
        ("$ANSIBLE_VAULT;1.1;AES256\n61zz", Error::Hex("Non-hexadecimal digit found")),
        ("$ANSIBLE_VAULT;1.1;AES256", Error::Body("there is no salt")),
        ("$ANSIBLE_VAULT;1.1;AES256\n3661", Error::Body("there is no HMAC")),
    ];
    for (text, error) in cases {
        assert_eq!(open(&[key("default", "pw1")], false, text), Err(error), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_was_sealed_opens(plain: Vec<u8>, password: Vec<u8>, salt: [u8; 32], label in "[a-z@;]{0,6}") {
        let label = label.replace(';', "");
        let text = Envelope::seal(&plain, &password, Some(&label), salt.to_vec()).to_text();
        let ring = Keyring::new(vec![Key { label, password: Password::new(password) }], false);
        let envelope = Envelope::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(ring.decrypt(&envelope).map(|opened| opened.plain.to_vec()).ok(), Some(plain));
    }
}

proptest! {
    #[test]
    fn nothing_panics(head in "(\\$ANSIBLE_VAULT)?[;.A-Z0-9]{0,20}\n?", body: Vec<u8>, hexed: bool) {
        let body = if hexed { hex::encode(&body).into_bytes() } else { body };
        let _ = Envelope::parse(&[head.as_bytes(), &body].concat());
    }
}
