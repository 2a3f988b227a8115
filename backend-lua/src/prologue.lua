  -- What the host gives. A slot is counted in words of 32 bits from the frame's start:
  --   slot: how many values | slot + 1: where they lie, in bytes, when more than one | slot + 2: the first value
  local atom = host.atom -- atom(number): the host tests an atom once per event and remembers
  local u32, i32 = host.u32, host.i32 -- the frame, as an array of each type
  local integer_at, integer64_at, double_at = host.integer_at, host.integer64_at, host.double_at -- by byte offset

  local function less(value, wanted) return value < wanted end
  local function less_equal(value, wanted) return value <= wanted end
  local function greater(value, wanted) return value > wanted end
  local function greater_equal(value, wanted) return value >= wanted end
  local function equal(value, wanted) return value == wanted end
  local function not_equal(value, wanted) return value ~= wanted end
  local function truth(value, wanted) return (value ~= 0) == wanted end

  -- Whether the field has a value.
  local function present(slot) return u32[slot] ~= 0 end

  -- Whether a value behind the first passes the test. Word 1 of a frame is its length: nothing beyond it is read.
  local function any_more(slot, read, test, wanted)
    local array = u32[slot + 1]
    local finish = math.min(array + 8 * u32[slot], u32[1]) - 8
    for offset = array + 8, finish, 8 do
      if test(read(offset), wanted) then return true end
    end
    return false
  end

  -- Whether any integer of the field passes the test. Read as Lua numbers: exact against constants below 2^53.
  local function any_integer(slot, test, wanted)
    local count = u32[slot]
    if count == 0 then return false end
    if test(i32[slot + 3] * 4294967296 + u32[slot + 2], wanted) then return true end
    return count > 1 and any_more(slot, integer_at, test, wanted)
  end

  -- The same with 64-bit integers, for constants from 2^53 on.
  local function any_integer64(slot, test, wanted)
    local count = u32[slot]
    if count == 0 then return false end
    if test(integer64_at(4 * slot + 8), wanted) then return true end
    return count > 1 and any_more(slot, integer64_at, test, wanted)
  end

  -- Whether any decimal of the field passes the test.
  local function any_double(slot, test, wanted)
    local count = u32[slot]
    if count == 0 then return false end
    if test(double_at(4 * slot + 8), wanted) then return true end
    return count > 1 and any_more(slot, double_at, test, wanted)
  end

  local predicates, nodes = {}, {}
