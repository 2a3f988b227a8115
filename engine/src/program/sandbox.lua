-- The world of a predicate in Lua: what is safe, what gives the same on every run, and nothing else.
--
-- Gets the host's table `kestrel` and what needs which capability, a function that charges work, and one that tells
-- whether the budget is used up. Returns a function that makes a new environment.

local kestrel, needs, charge, exhausted = ...

local error, getmetatable, ipairs, next, pcall, rawequal, rawget, rawset =
  error, getmetatable, ipairs, next, pcall, rawequal, rawget, rawset
local select, setmetatable, tonumber, tostring, type, unpack =
  select, setmetatable, tonumber, tostring, type, unpack
local string, table, math, bit = string, table, math, bit
local find, gsub = string.find, string.gsub

-- Work on long texts is not one instruction's worth.
local function charged(text)
  if #text > 256 then charge(#text) end
  return text
end

local function text_of(value)
  local kind = type(value)
  -- The name of a table or a function is its address, which is another on every run.
  if kind == "string" or kind == "number" or kind == "boolean" or kind == "nil" then return tostring(value) end
  if kind == "table" or kind == "function" then return kind end
  return charged(tostring(value))
end

local function is_text(value, name)
  local kind = type(value)
  if kind == "number" then return tostring(value) end
  if kind ~= "string" then error("`" .. name .. "` takes a string, not a " .. kind, 3) end
  return value
end

local strings = {
  byte = string.byte,
  char = string.char,
  len = string.len,
  format = function(form, ...)
    form = is_text(form, "string.format")
    charge(#form)
    -- An address is another on every run. Flags, width and precision may stand before the letter.
    if find((gsub(form, "%%%%", "")), "%%[-+ #0-9.]*p") then error("`string.format` has no `%p`", 2) end
    for index = 1, select("#", ...) do
      local kind = type((select(index, ...)))
      if kind ~= "string" and kind ~= "number" then error("`string.format` takes strings and numbers, not a " .. kind, 2) end
    end
    return charged(string.format(form, ...))
  end,
  -- Patterns can take time without a bound; the host's functions cannot.
  find = function(text, part, from, plain)
    text, part = is_text(text, "string.find"), is_text(part, "string.find")
    if not plain and string.find(part, "[%^%$%*%+%?%.%(%[%%%-]") then
      error("`string.find` finds plain text; for patterns there are `kestrel.re_match` and `kestrel.glob_match`", 2)
    end
    charge(#text * #part)
    return string.find(text, part, from, true)
  end,
  lower = function(text) return string.lower(charged(is_text(text, "string.lower"))) end,
  upper = function(text) return string.upper(charged(is_text(text, "string.upper"))) end,
  reverse = function(text) return string.reverse(charged(is_text(text, "string.reverse"))) end,
  rep = function(text, count, separator)
    text, count = is_text(text, "string.rep"), tonumber(count) or 0
    charge((#text + #(separator or "")) * math.max(count, 0))
    return string.rep(text, count, separator)
  end,
  sub = function(text, first, last)
    return charged(string.sub(is_text(text, "string.sub"), first, last))
  end,
}

-- Texts have methods, which are those above and cannot be changed.
local methods = getmetatable("")
methods.__index = strings
methods.__metatable = false

local tables = {
  -- A place far outside of the list would be moved to one by one, in C, where nothing counts.
  insert = function(list, ...)
    local count, place = select("#", ...), ...
    charge(#list)
    if count == 2 and not (type(place) == "number" and place >= 1 and place <= #list + 1) then
      error("`table.insert` takes a place in the list or right behind it", 2)
    end
    return table.insert(list, ...)
  end,
  remove = function(list, ...) charge(#list) return table.remove(list, ...) end,
  maxn = table.maxn,
  sort = function(list, order) charge(#list * 32) return table.sort(list, order) end,
  concat = function(list, ...)
    local joined = table.concat(list, ...)
    charge(#joined + #list)
    return joined
  end,
}

local numbers = {}
for name, value in next, math do
  if name ~= "random" and name ~= "randomseed" then numbers[name] = value end
end

-- Numbers first, then texts, each in order: Lua's own order is another on every run.
local function before(left, right)
  local kind, other = type(left), type(right)
  if kind ~= other then return kind == "number" end
  return left < right
end

local function pairs_in_order(container)
  if type(container) ~= "table" then error("`pairs` takes a table, not a " .. type(container), 2) end
  local keys, count = {}, 0
  for key in next, container do
    local kind = type(key)
    if kind ~= "number" and kind ~= "string" then error("`pairs` goes over numbers and strings, not a " .. kind, 2) end
    count = count + 1
    keys[count] = key
  end
  charge(count * 32)
  table.sort(keys, before)
  local at = 0
  return function()
    at = at + 1
    local key = keys[at]
    if key ~= nil then return key, container[key] end
  end
end

-- A budget that is used up is no error to be caught.
local function settled(...)
  if exhausted() then error("the budget is used up", 0) end
  return ...
end

local function copy(from)
  local to = {}
  for key, value in next, from do to[key] = value end
  return to
end

local function unknown(_, name)
  local capability = needs[name]
  if capability then
    error("`" .. name .. "` needs the capability `" .. capability .. "`, and the rule does not declare that", 2)
  end
  error("the host API has no `" .. text_of(name) .. "`", 2)
end

return function()
  local environment = {
    assert = assert,
    error = error,
    getmetatable = function(value) if type(value) == "table" then return getmetatable(value) end end,
    ipairs = ipairs,
    pairs = pairs_in_order,
    pcall = function(...) return settled(pcall(...)) end,
    rawequal = rawequal,
    rawget = rawget,
    rawset = rawset,
    select = select,
    setmetatable = setmetatable,
    tonumber = tonumber,
    tostring = text_of,
    type = type,
    unpack = unpack,
    string = copy(strings),
    table = copy(tables),
    math = copy(numbers),
    bit = copy(bit),
    kestrel = setmetatable(copy(kestrel), { __index = unknown, __metatable = false }),
  }
  environment._G = environment
  return environment
end
