-- Written by `cargo xtask host-api` from ir/schema/host_api.toml: do not edit.
--
-- The table `kestrel` of a predicate in Lua. The engine gives `host` (its functions) and `has` (the capabilities that the
-- rule declares). A function that answers an error raises it; what is missing is nil. Editors read the annotations.

---@meta

local host, has = ...

---@class kestrel
local kestrel = {}
local needs = {}

--- The handle of a field that the rule lists in `fields`.
--- Needs the capability `fields`.
---@param name string
---@return integer
if has.fields then
  function kestrel.schema_resolve(name) return host.schema_resolve(name) end
else
  needs.schema_resolve = "fields"
end

--- How many values the field has; 0 when it is missing.
--- Needs the capability `fields`.
---@param field integer
---@return integer
if has.fields then
  function kestrel.event_get_count(field) return host.event_get_count(field) end
else
  needs.event_get_count = "fields"
end

--- One value as text. A field of any type has one: numbers in decimal digits, addresses as they are written.
--- Needs the capability `fields`.
---@param field integer
---@param index integer
---@return string?
if has.fields then
  function kestrel.event_get_text(field, index) return host.event_get_text(field, index) end
else
  needs.event_get_text = "fields"
end

--- One value of a `long`, or of a `date` in nanoseconds since 1970.
--- Needs the capability `fields`.
---@param field integer
---@param index integer
---@return integer?
if has.fields then
  function kestrel.event_get_integer(field, index) return host.event_get_integer(field, index) end
else
  needs.event_get_integer = "fields"
end

--- One value of a `double` or of a `long`.
--- Needs the capability `fields`.
---@param field integer
---@param index integer
---@return number?
if has.fields then
  function kestrel.event_get_float(field, index) return host.event_get_float(field, index) end
else
  needs.event_get_float = "fields"
end

--- One value of a `boolean`.
--- Needs the capability `fields`.
---@param field integer
---@param index integer
---@return boolean?
if has.fields then
  function kestrel.event_get_boolean(field, index) return host.event_get_boolean(field, index) end
else
  needs.event_get_boolean = "fields"
end

--- One value of an `ip`: 16 octets, IPv4 mapped into IPv6.
--- Needs the capability `fields`.
---@param field integer
---@param index integer
---@return string?
if has.fields then
  function kestrel.event_get_ip(field, index) return host.event_get_ip(field, index) end
else
  needs.event_get_ip = "fields"
end

--- What the event is: its category and its type with a slash between, such as `process/start`; a part that is missing is empty.
--- Needs the capability `event`.
---@return string
if has.event then
  function kestrel.event_type() return host.event_type() end
else
  needs.event_type = "event"
end

--- The id of the event's process, `process.entity_id`.
--- Needs the capability `event`.
---@return string?
if has.event then
  function kestrel.event_entity() return host.event_entity() end
else
  needs.event_entity = "event"
end

--- The event's time in nanoseconds since 1970; 0 before the first event. There is no other clock.
--- Needs the capability `event`.
---@return integer
if has.event then
  function kestrel.event_time() return host.event_time() end
else
  needs.event_time = "event"
end

--- Compiles a regular expression of the language (`regex`), which matches whole texts.
--- Needs the capability `regex`.
---@param pattern string
---@param ignore_case boolean
---@return integer
if has.regex then
  function kestrel.re_compile(pattern, ignore_case) return host.re_compile(pattern, ignore_case) end
else
  needs.re_compile = "regex"
end

--- Whether a compiled expression matches the whole text.
--- Needs the capability `regex`.
---@param pattern integer
---@param subject string
---@return boolean
if has.regex then
  function kestrel.re_match(pattern, subject) return host.re_match(pattern, subject) end
else
  needs.re_match = "regex"
end

--- Whether a wildcard pattern matches the whole text: `*` is any run of characters, `?` is one.
---@param pattern string
---@param subject string
---@param ignore_case boolean
---@return boolean
function kestrel.glob_match(pattern, subject, ignore_case) return host.glob_match(pattern, subject, ignore_case) end

--- Whether two texts are equal but for case, as `==` with `~` has it (Unicode simple folding).
---@param left string
---@param right string
---@return boolean
function kestrel.str_eq_ci(left, right) return host.str_eq_ci(left, right) end

--- xxHash64 of some bytes, for tables and filters. In Lua a text of 16 hexadecimal digits, because its numbers do not hold 64 bits.
---@param data string
---@param seed integer
---@return string
function kestrel.hash_xx64(data, seed) return host.hash_xx64(data, seed) end

--- Adds a text to the alert's `captures`. A name that is there already keeps its place and takes the new value.
--- Needs the capability `captures`.
---@param name string
---@param value string
if has.captures then
  function kestrel.capture_put_text(name, value) return host.capture_put_text(name, value) end
else
  needs.capture_put_text = "captures"
end

--- The same with an integer.
--- Needs the capability `captures`.
---@param name string
---@param value integer
if has.captures then
  function kestrel.capture_put_integer(name, value) return host.capture_put_integer(name, value) end
else
  needs.capture_put_integer = "captures"
end

--- The same with a decimal. What is no number or infinite is `invalid`.
--- Needs the capability `captures`.
---@param name string
---@param value number
if has.captures then
  function kestrel.capture_put_float(name, value) return host.capture_put_float(name, value) end
else
  needs.capture_put_float = "captures"
end

--- The same with a truth value.
--- Needs the capability `captures`.
---@param name string
---@param value boolean
if has.captures then
  function kestrel.capture_put_boolean(name, value) return host.capture_put_boolean(name, value) end
else
  needs.capture_put_boolean = "captures"
end

--- Adds a message to the alert, if there is one in the end.
--- Needs the capability `alert`.
---@param message string
if has.alert then
  function kestrel.alert_emit(message) return host.alert_emit(message) end
else
  needs.alert_emit = "alert"
end

--- Asks for the event to be blocked. The alert, if there is one in the end, says that it was asked.
--- Needs the capability `block`.
if has.block then
  function kestrel.action_block() return host.action_block() end
else
  needs.action_block = "block"
end

--- Writes a line for the author of the predicate. The engine keeps the first lines of a run and counts the rest.
--- Needs the capability `log`.
---@param message string
if has.log then
  function kestrel.log(message) return host.log(message) end
else
  needs.log = "log"
end

return kestrel, needs
