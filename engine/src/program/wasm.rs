//! Hand-written predicates in Wasm, on wasmtime.
//!
//! In: modules that export and import what the host API's table says. Out: instances. A module is not trusted: it has its
//! own memory, fuel, stack and the host's functions of its rule's capabilities; an address that it passes is checked
//! against its memory, and one that is wrong ends the call. Fuel in every profile, and one form of NaN, so that a replay
//! decides as the live run did.

use std::ops::Range;

use kestrel_schema::host_api::{
    Capability, HostError, HostFunction, MODULE, ParameterType, ResultType, Signature, VERSION, WasmExport, WasmImport,
    WasmType, check_module,
};
use wasmtime::wasmparser::{Operator, Parser, Payload};
use wasmtime::{
    Caller, Config, Engine, Extern, ExternType, FuncType, Instance, InstancePre, Linker, Store, StoreLimits,
    StoreLimitsBuilder, Trap, Val, ValType, WasmBacktraceDetails,
};

use super::api::{Answer, Argument, Call, Exhausted};
use super::limits::{Limits, MAX_FUNCTION, MAX_NESTING, STACK};
use super::{Failure, Guest, Refusal};

const LANGUAGE: &str = "Wasm module";
/// The most entries of a module's tables.
const TABLE_ENTRIES: usize = 10_000;
/// The most parameters of a function of the host.
const MAX_PARAMETERS: usize = 4;

/// The compiler of a pack's Wasm programs.
pub(super) struct WasmPrograms {
    engine: Engine,
}

/// A compiled and linked module.
#[derive(Clone)]
pub(super) struct Module {
    instance: InstancePre<State>,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Module").finish_non_exhaustive()
    }
}

/// Refuses functions whose compilation would take more than its share: it grows with the square of their nesting, and no
/// fuel counts it.
fn check_shape(bytes: &[u8]) -> Result<(), Refusal> {
    for payload in Parser::new(0).parse_all(bytes) {
        let Payload::CodeSectionEntry(body) = payload.map_err(|error| misshapen(&error))? else { continue };
        let length = body.as_bytes().len();
        if length > MAX_FUNCTION {
            return Err(misshapen(&format!("a function has {length} bytes, at most {MAX_FUNCTION} are allowed")));
        }
        let mut depth = 0_usize;
        for operator in body.get_operators_reader().map_err(|error| misshapen(&error))? {
            match operator.map_err(|error| misshapen(&error))? {
                Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::TryTable { .. }
                | Operator::Try { .. } => depth += 1,
                Operator::End => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_NESTING {
                return Err(misshapen(&format!("a function nests more than {MAX_NESTING} blocks")));
            }
        }
    }
    Ok(())
}

fn misshapen(reason: &dyn std::fmt::Display) -> Refusal {
    Refusal::Code { language: LANGUAGE, reason: reason.to_string() }
}

/// What the host's functions reach through the store.
struct State {
    call: Option<Call>,
    limits: StoreLimits,
}

impl WasmPrograms {
    /// A compiler.
    pub(super) fn new() -> Result<WasmPrograms, Refusal> {
        let mut config = Config::new();
        config
            .consume_fuel(true)
            .max_wasm_stack(STACK)
            .cranelift_nan_canonicalization(true)
            .wasm_relaxed_simd(false)
            .wasm_multi_memory(false)
            .wasm_memory64(false)
            .wasm_backtrace_details(WasmBacktraceDetails::Disable);
        let engine = Engine::new(&config).map_err(refused)?;
        Ok(WasmPrograms { engine })
    }

    /// Checks a module against the host API and its rule's capabilities, compiles it, and links what it may have.
    pub(super) fn module(&self, bytes: &[u8], capabilities: &[Capability]) -> Result<Module, Refusal> {
        check_shape(bytes)?;
        // Only binary modules: `Module::new` would take text too.
        let module = wasmtime::Module::from_binary(&self.engine, bytes).map_err(refused)?;
        let imports: Vec<WasmImport> = module
            .imports()
            .map(|import| WasmImport {
                module: import.module().to_owned(),
                name: import.name().to_owned(),
                signature: signature_of(&import.ty()),
            })
            .collect();
        let exports: Vec<WasmExport> = module
            .exports()
            .map(|export| WasmExport {
                name: export.name().to_owned(),
                is_memory: matches!(export.ty(), ExternType::Memory(_)),
                signature: signature_of(&export.ty()),
            })
            .collect();
        let problems = check_module(&imports, &exports, capabilities);
        if !problems.is_empty() {
            return Err(Refusal::Interface(problems));
        }
        let mut linker = Linker::new(&self.engine);
        for function in HostFunction::ALL {
            let definition = function.definition();
            if definition.capability.is_some_and(|wanted| !capabilities.contains(&wanted)) {
                continue;
            }
            let signature = definition.signature();
            let parameters = signature.parameters.iter().map(|wasm| val_type(*wasm));
            let function_type = FuncType::new(&self.engine, parameters, signature.result.map(val_type));
            linker
                .func_new(MODULE, definition.name, function_type, move |caller, arguments, results| {
                    call_host(function, caller, arguments, results)
                })
                .map_err(refused)?;
        }
        Ok(Module { instance: linker.instantiate_pre(&module).map_err(refused)? })
    }
}

fn refused(error: wasmtime::Error) -> Refusal {
    Refusal::Code { language: LANGUAGE, reason: error.root_cause().to_string() }
}

fn val_type(wasm: WasmType) -> ValType {
    match wasm {
        WasmType::I32 => ValType::I32,
        WasmType::I64 => ValType::I64,
        WasmType::F64 => ValType::F64,
    }
}

/// The type of a function of number types that the host API knows; nothing for anything else.
fn signature_of(extern_type: &ExternType) -> Option<Signature> {
    let ExternType::Func(function) = extern_type else { return None };
    let wasm = |val: ValType| match val {
        ValType::I32 => Some(WasmType::I32),
        ValType::I64 => Some(WasmType::I64),
        ValType::F64 => Some(WasmType::F64),
        _ => None,
    };
    let parameters = function.params().map(wasm).collect::<Option<Vec<WasmType>>>()?;
    let results = function.results().map(wasm).collect::<Option<Vec<WasmType>>>()?;
    match results.as_slice() {
        [] => Some(Signature { parameters, result: None }),
        [result] => Some(Signature { parameters, result: Some(*result) }),
        _ => None,
    }
}

/// A predicate in Wasm, for one thread.
pub(super) struct WasmGuest {
    module: Module,
    limits: Limits,
    store: Store<State>,
    instance: Option<Instance>,
}

impl WasmGuest {
    /// A predicate that has not started.
    pub(super) fn new(module: &Module, call: Call, limits: Limits) -> WasmGuest {
        let store = store_of(module, Some(call), &limits);
        WasmGuest { module: module.clone(), limits, store, instance: None }
    }

    /// Calls an export without parameters; `None` when there is none of this name.
    fn call(&mut self, name: &str) -> Result<Option<i32>, Failure> {
        let function = self.instance.and_then(|instance| instance.get_func(&mut self.store, name));
        let Some(function) = function else { return Ok(None) };
        self.store.set_fuel(self.limits.instructions).map_err(|error| failure(&error))?;
        let mut results = [Val::I32(0)];
        let count = function.ty(&self.store).results().len().min(1);
        let results = &mut results[..count];
        function.call(&mut self.store, &[], results).map_err(|error| failure(&error))?;
        Ok(Some(results.first().and_then(Val::i32).unwrap_or(0)))
    }
}

fn store_of(module: &Module, call: Option<Call>, limits: &Limits) -> Store<State> {
    let store_limits = StoreLimitsBuilder::new()
        .memory_size(limits.memory)
        .table_elements(TABLE_ENTRIES)
        .instances(1)
        .memories(1)
        .tables(4)
        .build();
    let mut store = Store::new(module.instance.module().engine(), State { call, limits: store_limits });
    store.limiter(|state| &mut state.limits);
    store
}

impl Guest for WasmGuest {
    fn start(&mut self) -> Result<(), Failure> {
        let mut call = self.store.data_mut().call.take();
        if let Some(call) = &mut call {
            call.begin_start();
        }
        // A new store: memory, tables and globals as the module says, nothing of what was.
        self.instance = None;
        self.store = store_of(&self.module, call, &self.limits);
        self.store.set_fuel(self.limits.instructions).map_err(|error| failure(&error))?;
        let instance = self.module.instance.instantiate(&mut self.store).map_err(|error| failure(&error))?;
        self.instance = Some(instance);
        match self.call("pred_abi")? {
            Some(version) if version as u32 == VERSION => {}
            version => {
                let version = version.unwrap_or(0) as u32;
                let reason = format!("it is written for version {version} of the host API, this engine has {VERSION}");
                return Err(Failure::Broken(reason));
            }
        }
        match self.call("pred_init")? {
            None | Some(0) => Ok(()),
            Some(status) => Err(Failure::Broken(format!("`pred_init` answered {status}, expected 0"))),
        }
    }

    fn eval(&mut self) -> Result<bool, Failure> {
        match self.call("pred_eval")? {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            other => Err(Failure::Broken(format!("`pred_eval` answered {}, expected 0 or 1", other.unwrap_or(-1)))),
        }
    }

    fn capture(&mut self) -> Result<(), Failure> {
        self.call("pred_capture").map(|_| ())
    }

    fn with_call(&mut self, access: &mut dyn FnMut(&mut Call)) {
        if let Some(call) = &mut self.store.data_mut().call {
            access(call);
        }
    }
}

fn failure(error: &wasmtime::Error) -> Failure {
    if error.downcast_ref::<Exhausted>().is_some() {
        return Failure::Overrun(Exhausted::WHAT);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Failure::Overrun("its instructions"),
        Some(Trap::StackOverflow) => Failure::Overrun("its stack"),
        Some(trap) => {
            let reason = trap.to_string();
            Failure::Broken(reason.strip_prefix("wasm trap: ").unwrap_or(&reason).to_owned())
        }
        None => Failure::Broken(error.root_cause().to_string()),
    }
}

/// What stands behind an address and a length of a guest, if it lies in its memory.
fn place(address: &Val, length: u32) -> Option<Range<usize>> {
    let start = address.i32()? as u32 as usize;
    Some(start..start.checked_add(length as usize)?)
}

fn number(value: Option<&Val>) -> u32 {
    value.and_then(Val::i32).unwrap_or(-1) as u32
}

/// A function of the host: reads the arguments as the table types them, writes the answer where it says.
fn call_host(
    function: HostFunction,
    mut caller: Caller<'_, State>,
    values: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let definition = function.definition();
    let foreign = || wasmtime::format_err!("it passes memory to `{}` that it does not have", definition.name);
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        wasmtime::bail!("it calls `{}` without a memory", definition.name);
    };
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let Some(call) = &mut state.call else { wasmtime::bail!("`{}` was called outside of a call", definition.name) };
    let mut values = values.iter();
    let mut arguments = [Argument::Flag(false); MAX_PARAMETERS];
    let mut room = 0..0;
    for (argument, parameter) in arguments.iter_mut().zip(definition.parameters) {
        let value = values.next().ok_or_else(foreign)?;
        *argument = match parameter.parameter_type {
            ParameterType::Text | ParameterType::Bytes => {
                let place = place(value, number(values.next())).ok_or_else(foreign)?;
                Argument::Bytes(bytes.get(place).ok_or_else(foreign)?)
            }
            ParameterType::Buffer => {
                room = place(value, number(values.next())).ok_or_else(foreign)?;
                bytes.get(room.clone()).ok_or_else(foreign)?;
                Argument::Flag(false)
            }
            ParameterType::Handle | ParameterType::Count => Argument::Count(number(Some(value))),
            ParameterType::Flag => Argument::Flag(number(Some(value)) != 0),
            ParameterType::Integer => Argument::Integer(value.i64().unwrap_or(0)),
            ParameterType::Float => Argument::Float(value.f64().unwrap_or(f64::NAN)),
        };
    }
    let behind = match definition.result {
        ResultType::Integer | ResultType::Float => 8,
        ResultType::Address => 16,
        _ => 0,
    };
    if behind > 0 {
        room = place(values.next().ok_or_else(foreign)?, behind).ok_or_else(foreign)?;
        bytes.get(room.clone()).ok_or_else(foreign)?;
    }
    let count = definition.parameters.len().min(MAX_PARAMETERS);
    let answer = call.call(function, &arguments[..count])?;
    let mut write = |content: &[u8]| -> wasmtime::Result<()> {
        let place = bytes.get_mut(room.clone()).ok_or_else(foreign)?;
        let length = place.len().min(content.len());
        place[..length].copy_from_slice(&content[..length]);
        Ok(())
    };
    let status = match (&answer, definition.result) {
        (Answer::Integer(value), ResultType::PlainInteger) => {
            results[0] = Val::I64(*value);
            return Ok(());
        }
        // No room for an error; the reference says what is returned instead.
        (_, ResultType::PlainInteger) => {
            results[0] = Val::I64(0);
            return Ok(());
        }
        (Answer::Done, _) => 0,
        (Answer::Error(error), _) => HostError::code(*error),
        (Answer::Flag(flag), _) => i32::from(*flag),
        (Answer::Count(count), _) => *count as i32,
        (Answer::Text(text), _) => {
            write(text.as_bytes())?;
            text.len() as i32
        }
        (Answer::Integer(value), _) => {
            write(&value.to_le_bytes())?;
            0
        }
        (Answer::Float(value), _) => {
            write(&value.to_le_bytes())?;
            0
        }
        (Answer::Address(octets), _) => {
            write(octets)?;
            0
        }
    };
    results[0] = Val::I32(status);
    Ok(())
}
