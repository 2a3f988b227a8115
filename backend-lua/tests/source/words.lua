-- Predicates of a Kestrel pack for LuaJIT, written by eqlc to be read and edited.
-- Each tells whether it holds for the event e. docs/runtime-abi.md says what the host gives;
-- the fields and their slots are listed at the end.

return function(host)
  assert(host.abi == 2, "this source needs host ABI 2")
  assert(host.slots == 1, "this source reads frames of 1 fields")

  local atom = host.atom                       -- atom(e, number): what the host tests, once for each event
  local all = host.all                         -- all(e, number, …): whether all of these atoms hold; up to 8
  local any = host.any                         -- any(e, number, …): whether one of these atoms holds; up to 8
  local present = host.present                 -- present(e, slot): the field has a value
  local predicates, nodes = {}, {}

  -- used 2 times
  nodes[23] = function(e)
    return atom(e, 9)   -- process.name == "name8"
      or present(e, 12) -- process.name != null
      or atom(e, 10)    -- process.name == "name9"
  end

  -- rule "the-other-word-first"
  predicates[0] = function(e)
    return (
      all(e,
          1,               -- process.name == "name0"
          2)               -- process.name == "name1"
      or (
        atom(e, 3)         -- process.name == "name2"
        and present(e, 12) -- process.name != null
      )
    )
      and all(e,
          4,               -- process.name == "name3"
          5,               -- process.name == "name4"
          6)               -- process.name == "name5"
  end

  -- rule "eleven"
  predicates[1] = function(e)
    return any(e,
        1,    -- process.name == "name0"
        2,    -- process.name == "name1"
        3,    -- process.name == "name2"
        4,    -- process.name == "name3"
        5,    -- process.name == "name4"
        6,    -- process.name == "name5"
        7,    -- process.name == "name6"
        8)    -- process.name == "name7"
      or any(e,
          9,  -- process.name == "name8"
          10, -- process.name == "name9"
          11) -- process.name == "name10"
  end

  -- rule "not"
  predicates[2] = function(e)
    return all(e,
        8,                -- process.name == "name7"
        7)                -- process.name == "name6"
      and not (
        atom(e, 1)        -- process.name == "name0"
        or present(e, 12) -- process.name != null
      )
      and not not (
        atom(e, 1)        -- process.name == "name0"
        or present(e, 12) -- process.name != null
      )
  end

  -- rule "constant"
  predicates[3] = function(e)
    return atom(e, 8) -- process.name == "name7"
      and true
  end

  -- rule "shared"
  predicates[4] = function(e)
    return atom(e, 2) -- process.name == "name1"
      and nodes[23](e)
  end

  -- rule "shared again"
  predicates[5] = function(e)
    return atom(e, 3) -- process.name == "name2"
      and nodes[23](e)
  end

  return predicates
end

-- Fields by slot, in words of 32 bits from the start of a frame:
--     12 process.name (keyword)
