//! Hand-written predicates in Lua, on LuaJIT's interpreter.
//!
//! In: sources that define what the host API's table says. Out: instances. A source is not trusted: it sees a world of its
//! own (`sandbox.lua`) without IO, clock, randomness, addresses or pointers, its instructions are counted by a hook, which
//! is why the JIT is off, and its memory is limited. A copy of a long text is one instruction to the virtual machine:
//! that is why an instruction counts for more the more memory is in use.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use kestrel_schema::host_api::{Capability, HostError, HostFunction, ParameterType, VERSION, check_source};
use mlua::chunk::ChunkMode;
use mlua::{Function, HookTriggers, Lua, LuaOptions, MultiValue, StdLib, Table, Value, VmState};

use super::api::{Answer, Argument, Call, Exhausted};
use super::limits::Limits;
use super::{Failure, Guest, Refusal};

const LANGUAGE: &str = "Lua source";
/// How many instructions pass between two looks at the budget.
const STEP: u32 = 100;
/// Memory that makes an instruction no dearer, and how much more makes it dearer by one, in bytes. What an instruction can
/// copy is bounded by the memory in use, so that this bounds the time of a call whatever its instructions copy.
const FREE_MEMORY: usize = 256 << 10;
const DEARER: usize = 16 << 10;
const PRELUDE: &str = include_str!("prelude.lua");
const SANDBOX: &str = include_str!("sandbox.lua");

/// A source that was checked.
#[derive(Debug, Clone)]
pub(super) struct LuaProgram {
    source: Arc<str>,
    capabilities: Arc<[Capability]>,
}

impl LuaProgram {
    /// Checks a source against the host API and its rule's capabilities.
    pub(super) fn new(bytes: &[u8], capabilities: &[Capability]) -> Result<LuaProgram, Refusal> {
        let refused = |reason: String| Refusal::Code { language: LANGUAGE, reason };
        if bytes.starts_with(b"\x1b") {
            return Err(refused("it is bytecode".to_owned()));
        }
        let source = std::str::from_utf8(bytes).map_err(|_| refused("it is not UTF-8".to_owned()))?;
        let problems = check_source(source, capabilities);
        if !problems.is_empty() {
            return Err(Refusal::Interface(problems));
        }
        Ok(LuaProgram { source: source.into(), capabilities: capabilities.into() })
    }
}

/// What is left of a call's instructions.
#[derive(Debug, Default)]
struct Budget {
    left: Cell<u64>,
    exhausted: Cell<bool>,
}

impl Budget {
    fn renew(&self, instructions: u64) {
        self.left.set(instructions);
        self.exhausted.set(false);
    }

    fn charge(&self, instructions: u64) -> mlua::Result<()> {
        match self.left.get().checked_sub(instructions) {
            Some(left) if !self.exhausted.get() => {
                self.left.set(left);
                Ok(())
            }
            _ => {
                self.exhausted.set(true);
                Err(mlua::Error::runtime("the budget is used up"))
            }
        }
    }
}

/// A predicate in Lua, for one thread.
pub(super) struct LuaGuest {
    program: LuaProgram,
    limits: Limits,
    call: Rc<RefCell<Call>>,
    budget: Rc<Budget>,
    world: Option<World>,
    functions: Functions,
}

/// A Lua state with the source compiled.
struct World {
    _lua: Lua,
    chunk: Function,
    make_environment: Function,
}

/// What the source defines.
#[derive(Default)]
struct Functions {
    eval: Option<Function>,
    capture: Option<Function>,
}

#[expect(
    unsafe_code,
    reason = "mlua's handles are not Send without its feature `send`, which would put a lock around each call"
)]
// SAFETY: the state, every handle to it (`world`, `functions`) and every other owner of `call` and `budget` (closures inside
// that state) belong to this struct, are never cloned or handed out, and so move to another thread together; they are
// touched only through `&mut self` or on drop. LuaJIT binds a state to no thread.
unsafe impl Send for LuaGuest {}

impl LuaGuest {
    /// A predicate that has not started.
    ///
    /// # Errors
    /// When the source does not compile.
    pub(super) fn new(program: &LuaProgram, call: Call, limits: Limits) -> Result<LuaGuest, Failure> {
        let mut guest = LuaGuest {
            program: program.clone(),
            limits,
            call: Rc::new(RefCell::new(call)),
            budget: Rc::new(Budget::default()),
            world: None,
            functions: Functions::default(),
        };
        guest.world = Some(guest.make_world()?);
        Ok(guest)
    }

    fn make_world(&self) -> Result<World, Failure> {
        self.budget.renew(self.limits.instructions);
        self.try_world().map_err(|error| broken(&error))
    }

    fn try_world(&self) -> mlua::Result<World> {
        let libraries = StdLib::MATH | StdLib::STRING | StdLib::TABLE | StdLib::BIT | StdLib::JIT;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        lua.set_memory_limit(self.limits.memory)?;
        // The hook that counts is not asked by compiled code.
        lua.load("jit.off() jit.flush()").exec()?;
        let host = lua.create_table()?;
        for function in HostFunction::ALL {
            let call = Rc::clone(&self.call);
            let budget = Rc::clone(&self.budget);
            let made = lua.create_function(move |lua, arguments: MultiValue| {
                call_host(function, lua, &call, &budget, &arguments)
            })?;
            host.set(function.definition().name, made)?;
        }
        let has = lua.create_table()?;
        for capability in self.program.capabilities.iter() {
            has.set(capability.name(), true)?;
        }
        let prelude = lua.load(PRELUDE).set_name("=prelude.lua").set_mode(ChunkMode::Text);
        let (kestrel, needs): (Table, Table) = prelude.call((host, has))?;
        let budget = Rc::clone(&self.budget);
        let charge = lua.create_function(move |_, bytes: f64| budget.charge((bytes / 16.0) as u64))?;
        let (budget, call) = (Rc::clone(&self.budget), Rc::clone(&self.call));
        let exhausted = lua.create_function(move |_, ()| {
            Ok(budget.exhausted.get() || call.try_borrow().is_ok_and(|call| call.is_exhausted()))
        })?;
        let sandbox = lua.load(SANDBOX).set_name("=sandbox.lua").set_mode(ChunkMode::Text);
        let make_environment = sandbox.call((kestrel, needs, charge, exhausted))?;
        let chunk = lua.load(&*self.program.source).set_name("=predicate").set_mode(ChunkMode::Text);
        let chunk = chunk.into_function()?;
        let budget = Rc::clone(&self.budget);
        lua.set_hook(HookTriggers::new().every_nth_instruction(STEP), move |lua, _| {
            let dearer = lua.used_memory().saturating_sub(FREE_MEMORY) / DEARER;
            budget.charge(u64::from(STEP) * (1 + dearer as u64))?;
            Ok(VmState::Continue)
        })?;
        Ok(World { _lua: lua, chunk, make_environment })
    }

    fn try_start(&mut self) -> mlua::Result<Option<String>> {
        let Some(World { chunk, make_environment, .. }) = &self.world else { return Ok(None) };
        let environment: Table = make_environment.call(())?;
        chunk.set_environment(environment.clone())?;
        chunk.call::<()>(())?;
        let version: Value = environment.raw_get("pred_abi")?;
        if number_of(&version) != Some(f64::from(VERSION)) {
            let version = number_of(&version).map_or("none".to_owned(), |version| version.to_string());
            let reason = format!("its `pred_abi` is {version}, this engine has version {VERSION} of the host API");
            return Ok(Some(reason));
        }
        let function = |name: &str| environment.raw_get::<Option<Function>>(name);
        let (init, eval, capture) = (function("pred_init")?, function("pred_eval")?, function("pred_capture")?);
        if eval.is_none() {
            return Ok(Some("it defines no function `pred_eval`".to_owned()));
        }
        if let Some(init) = init {
            init.call::<()>(())?;
        }
        self.functions = Functions { eval, capture };
        Ok(None)
    }

    /// What a call came to. An overrun counts whatever the source made of it.
    fn settle<T>(&self, outcome: mlua::Result<T>) -> Result<T, Failure> {
        if self.budget.exhausted.get() {
            return Err(Failure::Overrun("its instructions"));
        }
        if self.call.try_borrow().is_ok_and(|call| call.is_exhausted()) {
            return Err(Failure::Overrun(Exhausted::WHAT));
        }
        outcome.map_err(|error| broken(&error))
    }
}

impl Guest for LuaGuest {
    fn start(&mut self) -> Result<(), Failure> {
        self.call.borrow_mut().begin_start();
        self.functions = Functions::default();
        // An environment of its own is as new as a state of its own, unless something went wrong in this one.
        let world = match self.world.take() {
            Some(world) => world,
            None => self.make_world()?,
        };
        self.budget.renew(self.limits.instructions);
        self.world = Some(world);
        let outcome = self.try_start();
        let outcome = self.settle(outcome).and_then(|refused| match refused {
            Some(reason) => Err(Failure::Broken(reason)),
            None => Ok(()),
        });
        if outcome.is_err() {
            self.world = None;
        }
        outcome
    }

    fn eval(&mut self) -> Result<bool, Failure> {
        self.budget.renew(self.limits.instructions);
        let Some(eval) = &self.functions.eval else {
            return Err(Failure::Broken("it has not started".to_owned()));
        };
        let answer = self.settle(eval.call::<Value>(()));
        match answer {
            Ok(Value::Boolean(holds)) => Ok(holds),
            Ok(other) => {
                self.forget();
                let found = other.type_name();
                Err(Failure::Broken(format!("`pred_eval` returned a {found}, expected true or false")))
            }
            Err(failure) => {
                self.forget();
                Err(failure)
            }
        }
    }

    fn capture(&mut self) -> Result<(), Failure> {
        self.budget.renew(self.limits.instructions);
        let Some(capture) = &self.functions.capture else { return Ok(()) };
        let outcome = self.settle(capture.call::<()>(()));
        if outcome.is_err() {
            self.forget();
        }
        outcome
    }

    fn with_call(&mut self, access: &mut dyn FnMut(&mut Call)) {
        access(&mut self.call.borrow_mut());
    }
}

impl LuaGuest {
    /// Lets the state go in which something went wrong.
    fn forget(&mut self) {
        self.functions = Functions::default();
        self.world = None;
    }
}

/// What went wrong and where; the lines behind are a traceback.
fn broken(error: &mlua::Error) -> Failure {
    if let mlua::Error::MemoryError(_) = error {
        return Failure::Overrun("its memory");
    }
    let text = match error {
        mlua::Error::CallbackError { cause, .. } => cause.to_string(),
        other => other.to_string(),
    };
    let line: String = text.lines().next().unwrap_or_default().chars().take(300).collect();
    if line.ends_with("not enough memory") {
        return Failure::Overrun("its memory");
    }
    if line.ends_with("stack overflow") {
        return Failure::Overrun("its stack");
    }
    Failure::Broken(line.strip_prefix("runtime error: ").unwrap_or(&line).to_owned())
}

/// A number, whichever way it is kept.
fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(value) => Some(*value as f64),
        Value::Number(value) => Some(*value),
        _ => None,
    }
}

/// A function of the host: reads the arguments as the table types them.
fn call_host(
    function: HostFunction,
    lua: &Lua,
    call: &RefCell<Call>,
    budget: &Budget,
    values: &MultiValue,
) -> mlua::Result<Value> {
    let definition = function.definition();
    let wrong = |name: &str, expected: &str, found: Option<&Value>| {
        let found = found.map_or("nothing", Value::type_name);
        mlua::Error::runtime(format!("`{}` takes {expected} as `{name}`, not {found}", definition.name))
    };
    let mut values = values.iter();
    let mut texts = Vec::with_capacity(definition.parameters.len());
    for parameter in definition.parameters {
        let value = match parameter.parameter_type {
            ParameterType::Buffer => None,
            _ => values.next(),
        };
        texts.push((parameter, value));
    }
    let borrowed: Vec<Option<mlua::BorrowedBytes>> =
        texts.iter().map(|(_, value)| value.and_then(Value::as_string).map(mlua::LuaString::as_bytes)).collect();
    let mut arguments = Vec::with_capacity(texts.len());
    for ((parameter, value), text) in texts.iter().zip(&borrowed) {
        arguments.push(match (parameter.parameter_type, value) {
            (ParameterType::Text | ParameterType::Bytes, value) => match text {
                Some(text) => Argument::Bytes(text),
                None => return Err(wrong(parameter.name, "a string", *value)),
            },
            (ParameterType::Buffer, _) => Argument::Flag(false),
            (ParameterType::Flag, None | Some(Value::Nil)) => Argument::Flag(false),
            (ParameterType::Flag, Some(Value::Boolean(flag))) => Argument::Flag(*flag),
            (ParameterType::Flag, value) => return Err(wrong(parameter.name, "true or false", *value)),
            (ParameterType::Handle | ParameterType::Count, value) => {
                let number = value.and_then(number_of).filter(|number| *number >= 0.0 && number.fract() == 0.0);
                match number {
                    Some(number) => Argument::Count(number as u32),
                    None => return Err(wrong(parameter.name, "a number from 0", *value)),
                }
            }
            (ParameterType::Integer, value) => match value.and_then(number_of) {
                Some(number) if number.fract() == 0.0 => Argument::Integer(number as i64),
                None if function == HostFunction::HashXx64 => Argument::Integer(0),
                _ => return Err(wrong(parameter.name, "a whole number", *value)),
            },
            (ParameterType::Float, value) => match value.and_then(number_of) {
                Some(number) => Argument::Float(number),
                None => return Err(wrong(parameter.name, "a number", *value)),
            },
        });
    }
    let mut call = call.try_borrow_mut().map_err(|_| mlua::Error::runtime("the host is busy"))?;
    let answer = call.call(function, &arguments).map_err(|exhausted| {
        // The hook then ends whatever the source does about the error.
        budget.left.set(0);
        mlua::Error::runtime(exhausted.to_string())
    })?;
    Ok(match answer {
        Answer::Done => Value::Nil,
        Answer::Error(HostError::Missing) => Value::Nil,
        Answer::Error(error) => {
            return Err(mlua::Error::runtime(format!("`{}` answers `{}`", definition.name, error.name())));
        }
        Answer::Flag(flag) => Value::Boolean(flag),
        Answer::Count(count) => Value::Number(f64::from(count)),
        Answer::Text(text) => Value::String(lua.create_string(text.as_bytes())?),
        Answer::Integer(value) if function == HostFunction::HashXx64 => {
            Value::String(lua.create_string(format!("{value:016x}"))?)
        }
        Answer::Integer(value) => Value::Number(value as f64),
        Answer::Float(value) => Value::Number(value),
        Answer::Address(octets) => {
            let address = kestrel_ir::value::Scalar::Ip(octets).to_owned_text().unwrap_or_default();
            Value::String(lua.create_string(address)?)
        }
    })
}
