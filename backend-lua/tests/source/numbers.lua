-- Predicates of a Kestrel pack for LuaJIT, written by eqlc to be read and edited.
-- Each tells whether it holds for the event e. docs/runtime-abi.md says what the host gives;
-- the fields and their slots are listed at the end.

return function(host)
  assert(host.abi == 2, "this source needs host ABI 2")
  assert(host.slots == 4, "this source reads frames of 4 fields")

  local atom = host.atom                       -- atom(e, number): what the host tests, once for each event
  local any_boolean = host.any_boolean         -- any_boolean(e, slot, wanted): a value of the field is the wanted one
  local any_integer = host.any_integer         -- any_integer(e, slot, test, wanted): a value of the field passes the test
  local any_integer64 = host.any_integer64     -- the same, for numbers from 2^53 on
  local any_double = host.any_double           -- the same, for decimals
  local less = host.less                       -- the tests
  local greater_equal = host.greater_equal
  local equal = host.equal
  local not_equal = host.not_equal
  local predicates = {}

  -- rule "numbers"
  predicates[0] = function(e)
    return any_integer(e, 12, greater_equal, 1024) -- destination.port >= 1024
      or any_integer(e, 12, equal, 4444)           -- destination.port == 4444
      or (any_integer(e, 12, equal, 80) or any_integer(e, 12, equal, 443)) -- destination.port in (80, 443)
      or atom(e, 3)                                -- destination.port in (0, 1, 2, 3, 4, 12 more)
      or any_integer64(e, 16, less, 0x0020000000000000LL) -- file.size < 9007199254740992
      or any_double(e, 20, not_equal, -1/0)        -- score != -inf
      or any_boolean(e, 24, true)                  -- elevated == true
  end

  -- rule "not-these-ports"
  predicates[1] = function(e)
    return not (any_integer(e, 12, equal, 80) or any_integer(e, 12, equal, 443)) -- destination.port in (80, 443)
  end

  return predicates
end

-- Fields by slot, in words of 32 bits from the start of a frame:
--     12 destination.port (long)
--     16 file.size (long)
--     20 score (double)
--     24 elevated (boolean)
