//! The exported function: the loops over events and their pairs.
//!
//! ```text
//! evaluate(first, end):
//!   for event in first .. end:
//!     progress = event
//!     a new generation of answers, so that all atoms are unknown
//!     for pair in the event's pairs:
//!       predicate[pairs[pair]](frame, generation) ? set the pair's bit
//! ```
//!
//! Generations are even and between 2 and 254. When they are used up, the answers are cleared and they start again.

use wasm_encoder::{BlockType, Function, InstructionSink, MemArg, ValType};

use crate::abi::{
    ANSWERS_ADDRESS, EVENT_SIZE, EVENTS_ADDRESS, PAIRS_ADDRESS, PROGRESS_ADDRESS, RESULTS_ADDRESS, reads_address,
};
use crate::emit::{PREDICATE_TYPE, aligned};

/// The index of the global that holds the generation.
pub(crate) const GENERATION_GLOBAL: u32 = 0;

const EVENT: u32 = 0;
const END: u32 = 1;
const FRAME: u32 = 2;
const GENERATION: u32 = 3;
const PAIR: u32 = 4;
const PAIRS_END: u32 = 5;
const PLACE: u32 = 6;

/// `evaluate(first, end)` of a module with so many atoms.
pub(crate) fn evaluate(atoms: u32) -> Function {
    let mut function = Function::new([(5, ValType::I32)]);
    let mut sink = function.instructions();
    sink.block(BlockType::Empty).loop_(BlockType::Empty);
    sink.local_get(EVENT).local_get(END).i32_ge_u().br_if(1);
    sink.i32_const(0).local_get(EVENT).i32_store(aligned(PROGRESS_ADDRESS));
    next_generation(&mut sink, atoms);
    sink.local_get(EVENT).i32_const(EVENT_SIZE as i32).i32_mul().local_tee(PLACE);
    sink.i32_load(aligned(EVENTS_ADDRESS)).local_set(FRAME);
    sink.local_get(PLACE).i32_load(aligned(EVENTS_ADDRESS + 4)).local_set(PAIR);
    sink.local_get(PLACE).i32_load(aligned(EVENTS_ADDRESS + 8)).local_set(PAIRS_END);
    pairs(&mut sink);
    sink.local_get(EVENT).i32_const(1).i32_add().local_set(EVENT);
    sink.br(0);
    sink.end().end().end();
    function
}

fn next_generation(sink: &mut InstructionSink<'_>, atoms: u32) {
    sink.global_get(GENERATION_GLOBAL).i32_const(2).i32_add().local_tee(GENERATION);
    sink.i32_const(256).i32_ge_u();
    sink.if_(BlockType::Empty);
    sink.i32_const(ANSWERS_ADDRESS as i32).local_set(PLACE);
    sink.block(BlockType::Empty).loop_(BlockType::Empty);
    sink.local_get(PLACE).i32_const(reads_address(atoms) as i32).i32_ge_u().br_if(1);
    sink.local_get(PLACE).i64_const(0).i64_store(MemArg { offset: 0, align: 3, memory_index: 0 });
    sink.local_get(PLACE).i32_const(8).i32_add().local_set(PLACE);
    sink.br(0);
    sink.end().end();
    sink.i32_const(2).local_set(GENERATION);
    sink.end();
    sink.local_get(GENERATION).global_set(GENERATION_GLOBAL);
}

fn pairs(sink: &mut InstructionSink<'_>) {
    let byte = MemArg { offset: u64::from(RESULTS_ADDRESS), align: 0, memory_index: 0 };
    sink.block(BlockType::Empty).loop_(BlockType::Empty);
    sink.local_get(PAIR).local_get(PAIRS_END).i32_ge_u().br_if(1);
    sink.local_get(FRAME).local_get(GENERATION);
    sink.local_get(PAIR).i32_const(2).i32_shl().i32_load(aligned(PAIRS_ADDRESS));
    sink.call_indirect(0, PREDICATE_TYPE);
    // Few pairs hold, so a branch costs less than a store for each.
    sink.if_(BlockType::Empty);
    sink.local_get(PAIR).i32_const(3).i32_shr_u().local_tee(PLACE);
    sink.local_get(PLACE).i32_load8_u(byte);
    sink.i32_const(1).local_get(PAIR).i32_const(7).i32_and().i32_shl();
    sink.i32_or().i32_store8(byte);
    sink.end();
    sink.local_get(PAIR).i32_const(1).i32_add().local_set(PAIR);
    sink.br(0);
    sink.end().end();
}
