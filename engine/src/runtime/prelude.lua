-- What stands between the host and a pack's predicates: typed pointers, the question to the host, the loop over
-- candidates. Gets the settings that runtime/lua.rs makes; gives `evaluate` and the number of predicates.
--
-- A pack's source gets `host` and a few harmless globals, never `ffi`: the pointers it reads are constant ones.
local settings = ...
local ffi, jit = ffi, jit

if settings.jit then
  -- A pack has one function per predicate and they are all hot: the defaults (1000 traces, 512 KiB) would make LuaJIT
  -- throw its code away and start anew.
  jit.opt.start("maxtrace=20000", "maxmcode=16384", "maxsnap=1000")
else
  jit.off()
end

local frame = ffi.cast("const uint8_t *", settings.frame)
local candidates = ffi.cast("const uint32_t *", settings.candidates)
local results = ffi.cast("uint8_t *", settings.results)
-- An integer comes back, because LuaJIT does not compile a function that does nothing but call C for a `bool`.
local ask = ffi.cast("int32_t (*)(void *, uint32_t)", settings.ask)
local call = ffi.cast("void *", settings.call)
local integer64, double = ffi.typeof("const int64_t *"), ffi.typeof("const double *")
local u32, i32 = ffi.cast("const uint32_t *", frame), ffi.cast("const int32_t *", frame)
local i64, f64 = ffi.cast(integer64, frame), ffi.cast(double, frame)

-- Values mostly lie at multiples of 8, where no pointer needs to be made.
local function integer64_at(offset)
  if offset % 8 == 0 then return i64[offset / 8] end
  return ffi.cast(integer64, frame + offset)[0]
end

local function double_at(offset)
  local low, high, value
  if offset % 8 == 0 then
    low, high, value = i32[offset / 4], i32[offset / 4 + 1], offset / 8
  else
    local words = ffi.cast("const int32_t *", frame + offset)
    low, high = words[0], words[1]
  end
  -- LuaJIT keeps the types of its values in the bits of doubles that are no numbers: of those, only its own may come in.
  if high < 0 then high = high + 2147483648 end
  if high >= 0x7ff00000 and (high > 0x7ff00000 or low ~= 0) then return 0 / 0 end
  if value then return f64[value] end
  return ffi.cast(double, frame + offset)[0]
end

local host = {
  abi = 1,
  slots = settings.slots,
  u32 = u32,
  i32 = i32,
  atom = function(number) return ask(call, number) ~= 0 end,
  integer64_at = integer64_at,
  integer_at = function(offset) return tonumber(integer64_at(offset)) end,
  double_at = double_at,
}

local environment = {
  assert = assert, error = error, ipairs = ipairs, math = math, next = next, pairs = pairs, pcall = pcall,
  select = select, string = string, table = table, tonumber = tonumber, tostring = tostring, type = type,
}
local start = settings.source
setfenv(start, environment)
local predicates = start()(host)

local list = {}

local function take(count)
  for index = 1, count do list[index] = candidates[index - 1] end
end

local function give(count)
  for index = 1, count do results[index - 1] = list[index] and 1 or 0 end
end

-- PERF (2026-11): interpreted on purpose. Compiled, the loop inlines one predicate and reaches every other one through a
-- chain of guards; interpreted, it enters the compiled code of each directly: 1,000 predicates, 4 candidates an event, 640
-- against 960 ns. Its list is a Lua table, because the interpreter is slow at C arrays; the copies are compiled.
local function evaluate(count)
  take(count)
  for index = 1, count do
    list[index] = predicates[list[index]]()
  end
  give(count)
end
jit.off(evaluate)

local count = 0
while predicates[count] do count = count + 1 end
return evaluate, count
