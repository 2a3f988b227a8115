//! Signatures and keys: what is signed stays as it was, whoever changes it is found out, and key files read back.

use kestrel_ir::pack::key::{MAX_COMMENT, MAX_KEY_FILE};
use kestrel_ir::pack::signature::{DOMAIN, MAX_SIGNATURES};
use kestrel_ir::pack::{
    KeyError, Manifest, PACK_MAJOR, Pack, PackBuilder, PackFile, PackProblem, PrivateKey, PublicKey, RuleInfo,
    SectionId, SignatureError,
};
use kestrel_ir::text::parse;
use sha2::Digest;

mod generate;

fn key(number: u8) -> PrivateKey {
    PrivateKey::generate(|seed| {
        seed.fill(number);
        Ok::<(), KeyError>(())
    })
    .expect("nothing fails")
}

fn pack() -> Pack {
    let ir = parse(
        "field f0 process.name : keyword\natom a0 = f0 exact [\"sh\"]\nnode n0 = a0\npredicate p0 = any where n0\n\
         rule \"one\" = event p0\n",
    );
    let rule = RuleInfo { id: "one".to_owned(), name: "Rule one".to_owned(), ..RuleInfo::default() };
    let manifest = Manifest { rules: vec![rule], schema_hash: "0".repeat(64), ..Manifest::default() };
    let mut builder = PackBuilder::new(manifest, ir.expect("the rules parse"));
    builder.module = Some(b"\0asm\x01\0\0\0".to_vec());
    builder.predicates = Some("return {}\n".to_owned());
    builder.sources = vec![PackFile { path: "one.eql".to_owned(), text: "any where true\n".to_owned() }];
    builder.build().expect("a valid pack")
}

fn text(key: &PrivateKey) -> (String, String) {
    let (mut private, mut public) = (Vec::new(), Vec::new());
    key.write(&mut private).expect("a vector takes all");
    key.public().write(&mut public).expect("a vector takes all");
    (String::from_utf8(private).expect("text"), String::from_utf8(public).expect("text"))
}

#[test]
fn a_signature_changes_nothing_but_its_own_section() {
    let pack = pack();
    let signed = pack.sign(&key(1)).expect("it can be signed");
    assert_eq!(signed.content_hash(), pack.content_hash());
    let added: Vec<_> = signed.sections().iter().filter(|info| info.id == SectionId::SIGNATURE).collect();
    assert_eq!((added.len(), signed.sections().len()), (1, pack.sections().len() + 1));
    for info in pack.sections() {
        assert_eq!(signed.section(info.id), pack.section(info.id), "{}", info.id);
    }
    let read = Pack::read(signed.bytes()).expect("a valid pack");
    assert_eq!(read, signed);
    assert_eq!(read.verify_signature(&[key(2).public(), key(1).public()]), Ok(&key(1).public()));
}

#[test]
fn signing_again_gives_the_same_bytes_in_any_order_of_keys() {
    let once = pack().sign(&key(1)).expect("it can be signed");
    assert_eq!(once.sign(&key(1)).expect("it can be signed").bytes(), once.bytes());
    let both = once.sign(&key(2)).expect("it can be signed");
    let other_way = pack().sign(&key(2)).and_then(|pack| pack.sign(&key(1))).expect("it can be signed");
    assert_eq!(both.bytes(), other_way.bytes());
    assert_eq!(both.signatures().len(), 2);
    let more = both.with_detached_section(SectionId(4711), b"behind it").expect("a valid pack");
    assert_eq!(more.sign(&key(2)).expect("it can be signed").bytes(), more.bytes());
}

#[test]
fn a_pack_of_another_minor_version_keeps_it_and_its_hash() {
    for minor in [0, 1, 7] {
        let mut bytes = pack().write();
        bytes[10] = minor;
        let mut digest = sha2::Sha256::new();
        digest.update(&bytes[..12]);
        for (index, info) in pack().sections().iter().enumerate() {
            let entry = 48 + 24 * index;
            digest.update(&bytes[entry..entry + 8]);
            digest.update(&bytes[entry + 16..entry + 24]);
            digest.update(&bytes[info.range()]);
        }
        bytes[16..48].copy_from_slice(&digest.finalize());
        let pack = Pack::read(&bytes).expect("a valid pack");
        let signed = pack.sign(&key(1)).expect("it can be signed");
        assert_eq!((signed.format_version(), signed.content_hash()), ((PACK_MAJOR, minor.into()), pack.content_hash()));
        assert!(signed.verify_signature(&[key(1).public()]).is_ok());
    }
}

#[test]
fn the_bytes_of_a_signature_never_change() {
    let pack = pack();
    let signed = pack.sign(&key(7)).expect("it can be signed");
    let section = signed.section(SectionId::SIGNATURE).expect("it is there");
    assert_eq!(section[..4], [1, 0, 1, 0]);
    assert_eq!(section[4..12], key(7).id().0);
    assert_eq!(section.len(), 4 + 72);
    // By hand, as docs/pack-format.md has it.
    let seed = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let message = [&b"kestrel-pack-signature-v1\0"[..], &pack.content_hash()].concat();
    assert_eq!(DOMAIN.as_slice(), &message[..26]);
    assert_eq!(section[12..], ed25519_dalek::Signer::sign(&seed, &message).to_bytes());
}

#[test]
fn any_changed_byte_of_a_signed_pack_is_found() {
    let signed = pack().sign(&key(1)).expect("it can be signed");
    let accepted = [key(1).public()];
    for at in 0..signed.bytes().len() {
        for flip in [0x01, 0x02, 0x80, 0xff] {
            let mut changed = signed.write();
            changed[at] ^= flip;
            let passed = Pack::read(&changed).is_ok_and(|pack| pack.verify_signature(&accepted).is_ok());
            assert!(!passed, "byte {at} changed by {flip:#x}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_signature_is_told() {
    let (one, two) = (key(1).public(), key(2).public());
    let plain = pack();
    assert_eq!(plain.verify_signature(std::slice::from_ref(&one)), Err(SignatureError::Unsigned));
    let signed = plain.sign(&key(1)).expect("it can be signed");
    assert_eq!(
        signed.verify_signature(std::slice::from_ref(&two)),
        Err(SignatureError::OtherKeys { found: vec![one.id()], accepted: vec![two.id()] })
    );
    assert!(signed.verify_signature(&[]).is_err());
    // The signature of another pack.
    let mut other = PackBuilder::new(plain.manifest().clone(), plain.ir().clone());
    other.sources = plain.sources().to_vec();
    let moved = other.build().expect("a valid pack");
    let section = signed.section(SectionId::SIGNATURE).expect("it is there");
    let moved = moved.with_detached_section(SectionId::SIGNATURE, section).expect("a valid pack");
    let error = moved.verify_signature(std::slice::from_ref(&one)).expect_err("another content");
    assert_eq!(error, SignatureError::Invalid { found: vec![one.id()] });
    assert_eq!(
        error.to_string(),
        format!("its signature by key {} is not valid: the pack or the signature was changed", one.id())
    );
    // One that holds is enough, and signing again repairs.
    let repaired = moved.sign(&key(2)).expect("it can be signed");
    assert_eq!(repaired.verify_signature(&[one.clone(), two.clone()]), Ok(&two));
    let repaired = moved.sign(&key(1)).expect("it can be signed");
    assert_eq!(repaired.verify_signature(std::slice::from_ref(&one)), Ok(&one));
}

#[test]
fn malformed_sections_are_refused() {
    let signed = pack().sign(&key(1)).and_then(|pack| pack.sign(&key(2))).expect("it can be signed");
    let good = signed.section(SectionId::SIGNATURE).expect("it is there").to_vec();
    let refused = |content: &[u8]| {
        let error = pack().with_detached_section(SectionId::SIGNATURE, content).expect_err("it is malformed");
        assert!(matches!(error.problem(), PackProblem::Signature(_)), "{error}");
        error.to_string()
    };
    for length in 0..good.len() {
        refused(&good[..length]);
    }
    assert_eq!(refused(&[0; 4]), "the pack's signatures: it has version 0, this build reads 1");
    assert_eq!(refused(&[1, 0, 0, 0]), "the pack's signatures: 0 signatures in 4 bytes, 1 to 16 fit");
    let many = [&[1, 0, 17, 0][..], &[0; 17 * 72]].concat();
    assert_eq!(refused(&many), "the pack's signatures: 17 signatures in 1228 bytes, 1 to 16 fit");
    let order = "the pack's signatures: the keys are not in order, or one is there twice";
    let swapped = [&good[..4], &good[76..], &good[4..76]].concat();
    assert_eq!(refused(&swapped), order);
    let twice = [&good[..4], &good[4..76], &good[4..76]].concat();
    assert_eq!(refused(&twice), order);
}

#[test]
fn a_pack_has_sixteen_signatures_at_most() {
    let limit = MAX_SIGNATURES as u8;
    let full = (0..limit).try_fold(pack(), |pack, number| pack.sign(&key(number))).expect("they fit");
    assert_eq!(full.signatures().len(), MAX_SIGNATURES);
    let error = full.sign(&key(limit)).expect_err("one too many").to_string();
    assert_eq!(error, "the pack's signatures: there are 16 signatures already, which is the limit");
    assert_eq!(full.sign(&key(3)).expect("it is there already").bytes(), full.bytes());
}

#[test]
fn key_files_read_back() {
    for comment in ["", "release key, 2026", "Schlüssel ß"] {
        let key = key(7).with_comment(comment).expect("a comment");
        let (private, public) = text(&key);
        let read = PrivateKey::read(private.as_bytes()).expect("a private key");
        assert_eq!((read.id(), read.public()), (key.id(), key.public()));
        let around = format!("# kept in the safe\n\n  {public}\n");
        let read = PublicKey::read(around.as_bytes()).expect("a public key");
        assert_eq!((&read, read.comment()), (&key.public(), comment));
    }
    let (private, public) = text(&key(7));
    assert_eq!(
        private,
        "kestrel-private-key-v1 fe812c12f3ab4ce6 0707070707070707070707070707070707070707070707070707070707070707\n"
    );
    assert_eq!(
        public,
        "kestrel-public-key-v1 fe812c12f3ab4ce6 ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c\n"
    );
    assert_eq!(format!("{:?}", key(7)), "PrivateKey { id: KeyId([254, 129, 44, 18, 243, 171, 76, 230]), .. }");
}

#[test]
fn key_files_that_are_none_are_refused() {
    let (private, public) = text(&key(7));
    let check = |file: &[u8], expected: &str| {
        assert_eq!(PublicKey::read(file).expect_err(expected).to_string(), expected);
    };
    let no_key = "there is no key in the file: expected a line that begins with `kestrel-public-key-v1`";
    check(b"", no_key);
    check(b"# nothing\n", no_key);
    check(b"kestrel-public-key-v2 00 00\n", no_key);
    check(private.as_bytes(), "this is a private key, expected the public one (its file ends with `.pub`)");
    let error = PrivateKey::read(public.as_bytes()).expect_err("it is the public one").to_string();
    assert_eq!(error, "this is a public key, expected the private one (its file ends with `.key`)");
    let several = "there are several keys in the file; give each a file of its own";
    check(format!("{public}{public}").as_bytes(), several);
    check(&[0xff, 0xfe], "this is no key file: it is not UTF-8");
    check(&vec![b'#'; MAX_KEY_FILE + 1], "this is no key file: it has more than 4096 bytes");
    let id = "the key file's line is malformed: expected the key's id, 16 hexadecimal digits";
    check(b"kestrel-public-key-v1\n", id);
    check(b"kestrel-public-key-v1 fe812c12f3ab4ce\n", id);
    let digits = "the key file's line is malformed: expected the key, 64 hexadecimal digits";
    check(public.replace("ea4a", "ea4").as_bytes(), digits);
    check(public.replace("ea4a", "ex4a").as_bytes(), digits);
    let slip = public.replace("fe81", "fe82");
    check(slip.as_bytes(), "the key is damaged: its id should be fe812c12f3ab4ce6, the file says fe822c12f3ab4ce6");
    // A point of small order, for which anybody can sign.
    let weak = format!("kestrel-public-key-v1 0000000000000000 01{}\n", "00".repeat(31));
    check(weak.as_bytes(), "the key is none that Ed25519 can use");
    let comment = "a comment has at most 200 bytes and no control characters";
    check(public.replace('\n', " \u{1b}[2J\n").as_bytes(), comment);
    assert_eq!(key(1).with_comment(&"x".repeat(MAX_COMMENT + 1)).expect_err("too long").to_string(), comment);
    assert_eq!(key(1).with_comment("a\nb").expect_err("two lines").to_string(), comment);
}

#[test]
fn damaged_key_files_never_panic_and_never_pass_for_another_key() {
    let (private, _) = text(&key(7));
    let mut random = generate::Random::new(5);
    for _ in 0..2000 {
        let mut bytes = private.clone().into_bytes();
        let at = random.below(bytes.len());
        bytes[at] = random.below(256) as u8;
        if let Ok(read) = PrivateKey::read(bytes.as_slice()) {
            assert_eq!(read.id(), key(7).id());
        }
    }
}
