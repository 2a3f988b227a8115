-- A command line that carries a long word which looks random: encoded or encrypted content, handed over in plain sight.
pred_abi = 1

local command_line

-- Bits per character, by Shannon's formula.
local function entropy(text)
  local counts = {}
  for index = 1, #text do
    local byte = text:byte(index)
    counts[byte] = (counts[byte] or 0) + 1
  end
  local bits = 0
  for _, count in pairs(counts) do
    local share = count / #text
    bits = bits - share * math.log(share) / math.log(2)
  end
  return bits
end

-- The longest run without a space.
local function longest_word(text)
  local longest, from = "", 1
  while from <= #text do
    local space = text:find(" ", from, true) or #text + 1
    if space - from > #longest then longest = text:sub(from, space - 1) end
    from = space + 1
  end
  return longest
end

function pred_init()
  command_line = kestrel.schema_resolve("process.command_line")
end

local word, bits

function pred_eval()
  word = longest_word(kestrel.event_get_text(command_line, 0) or "")
  if #word < 40 then return false end
  bits = entropy(word)
  return bits >= 4.5
end

function pred_capture()
  kestrel.capture_put_text("word", word:sub(1, 80))
  kestrel.capture_put_integer("length", #word)
  kestrel.capture_put_float("bits_per_character", math.floor(bits * 100) / 100)
end
