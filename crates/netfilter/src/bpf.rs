//! Programs of classic BPF for netlink sockets (`SO_ATTACH_FILTER`), instruction by instruction.
//!
//! A program sees one datagram: numbers are loaded big endian from an offset, and two loads of the kernel's own
//! find an attribute by its type, from an offset on or inside another attribute; they give its offset, or 0.

/// Takes the datagram.
pub(crate) const TAKE: u32 = u32::MAX;
/// Drops it.
pub(crate) const DROP: u32 = 0;
/// Where the type of the first message has its lower byte, the message.
pub(crate) const MESSAGE: u32 = if cfg!(target_endian = "little") { 4 } else { 5 };
/// Where the type of the first message has its upper byte, the subsystem.
pub(crate) const SUBSYSTEM: u32 = if cfg!(target_endian = "little") { 5 } else { 4 };
/// Where the attributes of a message of nfnetlink start.
pub(crate) const ATTRIBUTES: u32 = 20;
/// The kernel takes no longer program.
pub(crate) const MAX_LEN: usize = 4096;

const LD_IMM: u16 = 0x00;
const LDX_IMM: u16 = 0x01;
const LD_W_ABS: u16 = 0x20;
const LD_B_ABS: u16 = 0x30;
const LD_W_IND: u16 = 0x40;
const LD_B_IND: u16 = 0x50;
const LD_MEM: u16 = 0x60;
const ST: u16 = 0x02;
const AND_K: u16 = 0x54;
const JEQ_K: u16 = 0x15;
const JA: u16 = 0x05;
const RET_K: u16 = 0x06;
const TAX: u16 = 0x07;

const SKF_AD_OFF: u32 = 0xffff_f000;
const SKF_AD_NLATTR: u32 = SKF_AD_OFF + 12;
const SKF_AD_NLATTR_NEST: u32 = SKF_AD_OFF + 16;

/// A program being written.
#[derive(Debug)]
pub(crate) struct Program(Vec<libc::sock_filter>);

impl Program {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    fn add(&mut self, code: u16, jt: u8, jf: u8, k: u32) {
        self.0.push(libc::sock_filter { code, jt, jf, k });
    }

    /// The next instruction's number.
    pub(crate) const fn here(&self) -> usize {
        self.0.len()
    }

    /// A jump whose target is not known yet.
    pub(crate) fn jump(&mut self) -> usize {
        self.add(JA, 0, 0, 0);
        self.here() - 1
    }

    /// Lets a jump go to the next instruction.
    pub(crate) fn land(&mut self, jump: usize) {
        let distance = self.here() - jump - 1;
        self.0[jump].k = u32::try_from(distance).unwrap_or(u32::MAX);
    }

    pub(crate) fn load_byte(&mut self, offset: u32) {
        self.add(LD_B_ABS, 0, 0, offset);
    }

    /// Loads the offset of an attribute of the first message.
    pub(crate) fn find(&mut self, kind: u32) {
        self.add(LD_IMM, 0, 0, ATTRIBUTES);
        self.add(LDX_IMM, 0, 0, kind);
        self.add(LD_W_ABS, 0, 0, SKF_AD_NLATTR);
    }

    /// From the offset of an attribute to that of one inside it.
    pub(crate) fn find_inside(&mut self, kind: u32) {
        self.add(LDX_IMM, 0, 0, kind);
        self.add(LD_W_ABS, 0, 0, SKF_AD_NLATTR_NEST);
    }

    /// Remembers an offset.
    pub(crate) fn store(&mut self, slot: u32) {
        self.add(ST, 0, 0, slot);
    }

    /// Recalls it.
    pub(crate) fn recall(&mut self, slot: u32) {
        self.add(LD_MEM, 0, 0, slot);
    }

    /// The offset becomes the base of the two loads that follow.
    pub(crate) fn base(&mut self) {
        self.add(TAX, 0, 0, 0);
    }

    pub(crate) fn load_byte_at(&mut self, offset: u32) {
        self.add(LD_B_IND, 0, 0, offset);
    }

    pub(crate) fn load_word_at(&mut self, offset: u32) {
        self.add(LD_W_IND, 0, 0, offset);
    }

    pub(crate) fn and(&mut self, mask: u32) {
        self.add(AND_K, 0, 0, mask);
    }

    /// Ends with `value` if the number is this one.
    pub(crate) fn if_equal_return(&mut self, number: u32, value: u32) {
        self.add(JEQ_K, 0, 1, number);
        self.give(value);
    }

    /// Ends with `value` unless the number is this one.
    pub(crate) fn unless_equal_return(&mut self, number: u32, value: u32) {
        self.add(JEQ_K, 1, 0, number);
        self.give(value);
    }

    /// A jump that is made if the number is this one.
    pub(crate) fn if_equal_jump(&mut self, number: u32) -> usize {
        self.add(JEQ_K, 0, 1, number);
        self.jump()
    }

    /// A jump that is made unless the number is this one.
    pub(crate) fn unless_equal_jump(&mut self, number: u32) -> usize {
        self.add(JEQ_K, 1, 0, number);
        self.jump()
    }

    /// Ends with `value`.
    pub(crate) fn give(&mut self, value: u32) {
        self.add(RET_K, 0, 0, value);
    }

    pub(crate) fn finish(self) -> Vec<libc::sock_filter> {
        self.0
    }
}
