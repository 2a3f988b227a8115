-- What stands between the host and a pack's predicates: the memory that both share, the questions to the host, and the
-- loops over the events of a batch. Gets the settings that runtime/lua/state.rs makes; gives `evaluate`, `reached`, and
-- the number of predicates.
--
-- A pack's source gets `host` and a few harmless globals, never `ffi`. The pointers it reads are constant ones; when the
-- settings say `checked`, it gets no pointer at all, but tables that look before they read.
local settings = ...
local ffi, jit, loadstring = ffi, jit, loadstring

-- How often LuaJIT may throw all its code away before it is left off: a pack with more hot code than there is room for
-- would make it compile for ever.
local MAX_FLUSHES = 4
local flushes = 0

if settings.jit then
  -- PERF (2026-11): with the defaults (1000 traces, 2 MiB, 100 side traces) some hundred real predicates do not fit.
  jit.opt.start("maxtrace=60000", "maxmcode=32768", "maxside=400", "maxsnap=1000", "maxirconst=1000", "hotexit=6")
  jit.attach(function(what) if what == "flush" then flushes = flushes + 1 end end, "trace")
else
  jit.off()
end

-- One block of memory, seen as arrays. An event `e` is the word where its frame starts, an even one; its number lies two
-- words before.
local bytes = ffi.cast("const uint8_t *", settings.memory)
local i32, u32 = ffi.cast("const int32_t *", bytes), ffi.cast("const uint32_t *", bytes)
local i64, f64 = ffi.cast("const int64_t *", bytes), ffi.cast("const double *", bytes)
-- An integer comes back, because LuaJIT does not compile a function that does nothing but call C for a `bool`.
local ask = ffi.cast("int32_t (*)(void *, int32_t, int32_t)", settings.ask)
local many_atoms = "int32_t (*)(void *, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t)"
local ask_all, ask_any = ffi.cast(many_atoms, settings.ask_all), ffi.cast(many_atoms, settings.ask_any)
local call = ffi.cast("void *", settings.call)

local function unaligned(kind, offset)
  return ffi.cast(kind, bytes + offset)[0]
end

local host_i32, host_u32 = i32, u32
if settings.checked then
  local setmetatable, type, error = setmetatable, type, error
  local function checked(array, count)
    local function read(_, index)
      if type(index) == "number" and index >= 0 and index < count then return array[index] end
      error("a read outside of the frames", 2)
    end
    return setmetatable({}, { __index = read, __newindex = function() error("frames cannot be written", 2) end })
  end
  local size = settings.memory_size
  -- The source gets tables of its own: what it does to them changes nothing of what is read here.
  host_i32, host_u32 = checked(i32, size / 4), checked(u32, size / 4)
  i32, u32 = checked(i32, size / 4), checked(u32, size / 4)
  i64, f64 = checked(i64, size / 8), checked(f64, size / 8)
  local read = unaligned
  unaligned = function(kind, offset)
    -- A 64-bit integer of LuaJIT would wrap around in the sum.
    if type(offset) == "number" and offset >= 0 and offset + 8 <= size then return read(kind, offset) end
    error("a read outside of the frames", 2)
  end
end

-- PERF (2026-11): the host looks up what it knows already, not Lua. Looked up here, each atom would have four ways
-- through compiled code instead of two, and LuaJIT compiles each way through a predicate: of 400 predicates, 1.8 times as
-- many as with `all` and `any`, which have two ways for up to eight atoms.
local function atom(e, number)
  return ask(call, i32[e - 2], number) ~= 0
end

local function all(e, a, b, c, d, f, g, h, i)
  local none = -1
  return ask_all(call, i32[e - 2], a, b or none, c or none, d or none, f or none, g or none, h or none, i or none) ~= 0
end

local function any(e, a, b, c, d, f, g, h, i)
  local none = -1
  return ask_any(call, i32[e - 2], a, b or none, c or none, d or none, f or none, g or none, h or none, i or none) ~= 0
end

-- Values mostly lie at multiples of 8, where no pointer needs to be made.
local function integer64_at(e, offset)
  if offset % 8 == 0 then return i64[(e * 4 + offset) / 8] end
  return unaligned("const int64_t *", e * 4 + offset)
end

local function integer_at(e, offset)
  return tonumber(integer64_at(e, offset))
end

local function double_at(e, offset)
  local low, high
  if offset % 8 == 0 then
    low, high = i32[e + offset / 4], i32[e + offset / 4 + 1]
  else
    local both = unaligned("const uint64_t *", e * 4 + offset)
    low, high = tonumber(both % 4294967296), tonumber(both / 4294967296)
    if high >= 2147483648 then high = high - 4294967296 end
  end
  -- LuaJIT keeps the types of its values in the bits of doubles that are no numbers: of those, only its own may come in.
  if high < 0 then high = high + 2147483648 end
  if high >= 0x7ff00000 and (high > 0x7ff00000 or low ~= 0) then return 0 / 0 end
  if offset % 8 == 0 then return f64[(e * 4 + offset) / 8] end
  return unaligned("const double *", e * 4 + offset)
end

local function less(value, wanted) return value < wanted end
local function less_equal(value, wanted) return value <= wanted end
local function greater(value, wanted) return value > wanted end
local function greater_equal(value, wanted) return value >= wanted end
local function equal(value, wanted) return value == wanted end
local function not_equal(value, wanted) return value ~= wanted end

-- A field's presence bit stands between the head and the slots. `slot` is the word where the slot begins, four words each.
local first_slot = 10 + 2 * math.ceil(settings.slots / 64)
local band, rshift = bit.band, bit.rshift
local function present(e, slot)
  local number = (slot - first_slot) / 4
  return band(rshift(i32[e + 10 + rshift(number, 5)], number), 1) ~= 0
end

-- Whether a value behind the first passes the test. Word 1 of a frame is its length: nothing beyond it is read.
local min = math.min
local function any_more(e, slot, read, test, wanted)
  local array = u32[e + slot + 1]
  local finish = min(array + 8 * u32[e + slot], u32[e + 1]) - 8
  for offset = array + 8, finish, 8 do
    if test(read(e, offset), wanted) then return true end
  end
  return false
end

-- Read as Lua numbers: exact against constants below 2^53.
local function any_integer(e, slot, test, wanted)
  local count = i32[e + slot]
  if count == 0 then return false end
  if test(i32[e + slot + 3] * 4294967296 + u32[e + slot + 2], wanted) then return true end
  return count ~= 1 and any_more(e, slot, integer_at, test, wanted)
end

local function any_integer64(e, slot, test, wanted)
  local count = i32[e + slot]
  if count == 0 then return false end
  if test(integer64_at(e, 4 * slot + 8), wanted) then return true end
  return count ~= 1 and any_more(e, slot, integer64_at, test, wanted)
end

local function any_double(e, slot, test, wanted)
  local count = i32[e + slot]
  if count == 0 then return false end
  if test(double_at(e, 4 * slot + 8), wanted) then return true end
  return count ~= 1 and any_more(e, slot, double_at, test, wanted)
end

local function holds(value, wanted) return (value ~= 0) == wanted end
local function any_boolean(e, slot, wanted)
  return any_integer(e, slot, holds, wanted)
end

local host = {
  abi = 2, slots = settings.slots,
  atom = atom, all = all, any = any, present = present, any_boolean = any_boolean, any_integer = any_integer,
  any_integer64 = any_integer64, any_double = any_double,
  less = less, less_equal = less_equal, greater = greater, greater_equal = greater_equal,
  equal = equal, not_equal = not_equal,
  u32 = host_u32, i32 = host_i32, integer_at = integer_at, integer64_at = integer64_at, double_at = double_at,
}

-- No patterns: they are matched in C, where nothing can end a search that takes for ever.
local find, error, type, select = string.find, error, type, select
string.find = function(text, wanted, init)
  if #text * #wanted > 4194304 then error("`string.find` takes shorter texts", 2) end
  return find(text, wanted, init, true)
end
-- A place far outside of the list would be moved to one by one, in C, where nothing can end it.
local insert = table.insert
table.insert = function(list, ...)
  local count, place = select("#", ...), ...
  if count == 2 and not (type(place) == "number" and place >= 1 and place <= #list + 1) then
    error("`table.insert` takes a place in the list or right behind it", 2)
  end
  return insert(list, ...)
end
string.match, string.gmatch, string.gsub, string.gfind, string.dump = nil, nil, nil, nil, nil

local environment = {
  assert = assert, error = error, ipairs = ipairs, math = math, next = next, pairs = pairs, pcall = pcall,
  select = select, string = string, table = table, tonumber = tonumber, tostring = tostring, type = type,
}
local start = settings.source
setfenv(start, environment)
local predicates = start()(host)

local groups = ffi.cast("const int32_t *", settings.groups)
local events = ffi.cast("const int32_t *", settings.events)
local results = ffi.cast("uint8_t *", settings.results)

-- Two functions of one predicate: for one event, and for as many as lie between two positions. Each predicate has its
-- own copy of the code, because LuaJIT compiles code, not closures: a loop that all shared would be compiled for the
-- first predicate, and reach every other one through a chain of guards.
local TEMPLATE = [[
  local predicate, events, results = ...
  local function one(position)
    if predicate(events[position]) == true then results[position] = 1 end
  end
  local function many(first, last)
    for position = first, last do
      if predicate(events[position]) == true then results[position] = 1 end
    end
  end
  return one, many
]]

-- The groups of a batch: a predicate, its first and its last position. In a Lua table, because the interpreter is slow
-- at C arrays; the copy is compiled.
local list = {}
local function take(from, count)
  for index = 3 * from, 3 * count - 1 do list[index] = groups[index] end
end

local ones, manys = {}, {}
local function make(predicate)
  ones[predicate], manys[predicate] = loadstring(TEMPLATE, "=prelude.lua")(predicates[predicate], events, results)
end

local group = 0

-- PERF (2026-11): interpreted on purpose. It enters the compiled code of each predicate directly, where a compiled loop
-- would reach all but one through guards.
local function evaluate(from, count)
  if flushes > MAX_FLUSHES then jit.off() end
  take(from, count)
  for index = from, count - 1 do
    group = index
    local at = 3 * index
    local predicate, first, last = list[at], list[at + 1], list[at + 2]
    if not ones[predicate] then make(predicate) end
    if first == last then
      ones[predicate](first)
    else
      manys[predicate](first, last)
    end
  end
end
jit.off(evaluate)

-- The group that `evaluate` was at: where an error came from.
local function reached() return group end

local count = 0
while predicates[count] do count = count + 1 end
return evaluate, reached, count
