import { OPENED, PRIMARY, script } from './script.ts'

/** Milliseconds after which a script stops at the next opportunity; the store then calls it again for the rest. */
const LONGEST_MS = 5
/** Bytes after which an answer is long enough. */
const ANSWER_BYTES = 1_048_576

/**
 * Applies changes until its time is up.
 *
 * ARGV: the guard; `1` if any change touches sealed bytes; then the changes, each its kind and what belongs to it: `c` name,
 * wrap, meta, sealed; `p` name, expected wrap, wrap, meta, sealed; `w` name, expected wrap, wrap, meta; `d` name, expected wrap.
 *
 * Answers `ok` and one letter for each change that was decided, the first one of its outcome.
 */
const WRITE = `
${OPENED}
if ARGV[2] == '1' and call('HEXISTS', SEALED, '') == 0 then return { 'damaged' } end
local revision = call('HGET', DOCUMENTS, 'r:keyring')
local open = revision and match(revision, '^%d+') == ARGV[1]
local began, outcomes, at, last = clock(), {}, 3, #ARGV
repeat
  local names, positions = {}, {}
  while at <= last and #names < 128 do
    local kind = ARGV[at]
    names[#names + 1], positions[#positions + 1] = ARGV[at + 1], at
    at = at + ((kind == 'd' and 3) or (kind == 'p' and 6) or 5)
  end
  local there = call('HMGET', WRAPS, unpack(names))
  local wraps, metas, sealed, come, gone = {}, {}, {}, {}, {}
  for n, name in ipairs(names) do
    local p, now, outcome = positions[n], there[n], 'd'
    local kind, create = ARGV[p], ARGV[p] == 'c'
    local next = ARGV[create and p + 2 or p + 3]
    if kind == 'd' then
      if not now then outcome = 'm'
      elseif now ~= ARGV[p + 2] then outcome = 'c'
      else gone[#gone + 1] = name end
    elseif now == next then outcome = 'a'
    elseif not open then outcome = 'f'
    elseif create and now then outcome = 'c'
    elseif not create and not now then outcome = 'm'
    elseif not create and now ~= ARGV[p + 2] then outcome = 'c'
    else
      local size = #wraps
      wraps[size + 1], wraps[size + 2] = name, next
      metas[size + 1], metas[size + 2] = name, ARGV[create and p + 3 or p + 4]
      if kind ~= 'w' then sealed[#sealed + 1], sealed[#sealed + 2] = name, ARGV[create and p + 4 or p + 5] end
      if create then come[#come + 1], come[#come + 2] = 0, name end
    end
    outcomes[#outcomes + 1] = outcome
  end
  if #wraps > 0 then
    call('HSET', WRAPS, unpack(wraps))
    call('HSET', METAS, unpack(metas))
  end
  if #sealed > 0 then call('HSET', SEALED, unpack(sealed)) end
  if #come > 0 then call('ZADD', NAMES, unpack(come)) end
  if #gone > 0 then
    for _, key in ipairs({ WRAPS, METAS, SEALED }) do call('HDEL', key, unpack(gone)) end
    call('ZREM', NAMES, unpack(gone))
  end
until at > last or clock() - began > ${LONGEST_MS}
return { 'ok', table.concat(outcomes) }
`

/** Refused as a whole while memory is full, so that no change is half made. */
export const WRITE_CHANGES = script('', WRITE)

/** The same for changes that only delete, and so make room. */
export const WRITE_DELETES = script('allow-oom', WRITE)

/**
 * ARGV: names. Answers `ok`, then wrap, meta and sealed bytes of the first, the second and so on, three times nil for none; of
 * fewer than asked for where that makes the answer long enough.
 */
export const READ = script(
  'no-writes,allow-oom',
  `
${PRIMARY}
${OPENED}
local answer, bytes = { 'ok' }, 0
local wraps, metas = call('HMGET', WRAPS, unpack(ARGV)), call('HMGET', METAS, unpack(ARGV))
for n, name in ipairs(ARGV) do
  local sealed = wraps[n] and call('HGET', SEALED, name)
  if wraps[n] and not (sealed and metas[n]) then return { 'damaged' } end
  local size = #answer
  answer[size + 1], answer[size + 2], answer[size + 3] = wraps[n], metas[n], sealed
  bytes = bytes + (sealed and #sealed or 0)
  if bytes > ${ANSWER_BYTES} then break end
end
return answer
`,
)

/**
 * ARGV: the name behind which to begin; the most items; what the wrap texts to leave out begin with, or nothing; the last name
 * to read, or nothing.
 *
 * Answers `ok`, the name to go on behind or nil, then name, wrap and meta of each item. Goes by the names in their order, which no
 * re-wrap touches.
 */
export const SCAN = script(
  'no-writes,allow-oom',
  `
${PRIMARY}
${OPENED}
local cursor, limit, except = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local to = ARGV[4] == '' and '+' or '[' .. ARGV[4]
local began, answer, items, bytes, more = clock(), { 'ok', false }, 0, 0, true
while more and items < limit and bytes < ${ANSWER_BYTES} and clock() - began < ${LONGEST_MS} do
  local size = except == '' and math.min(128, limit - items) or 128
  local names = call('ZRANGE', NAMES, '(' .. cursor, to, 'BYLEX', 'LIMIT', 0, size)
  more = #names == size
  if #names > 0 then
    local wraps, chosen = call('HMGET', WRAPS, unpack(names)), {}
    for n, name in ipairs(names) do
      if items == limit then
        more = true
        break
      end
      local wrap = wraps[n]
      if not wrap then return { 'damaged' } end
      cursor = name
      if except == '' or sub(wrap, 1, #except) ~= except then
        local at = #answer
        answer[at + 1], answer[at + 2], answer[at + 3] = name, wrap, ''
        chosen[#chosen + 1] = name
        items = items + 1
      end
    end
    if #chosen > 0 then
      local metas = call('HMGET', METAS, unpack(chosen))
      for n, meta in ipairs(metas) do
        if not meta then return { 'damaged' } end
        local at = #answer - 3 * (#chosen - n)
        answer[at] = meta
        bytes = bytes + #meta + #answer[at - 1]
      end
    end
  end
end
if more then answer[2] = cursor end
return answer
`,
)

/**
 * ARGV: the most shards; the fewest records of one. Answers `ok`, then the last name of each shard but the last one, found by
 * their ranks. The empty name has rank 0.
 */
export const BORDERS = script(
  'no-writes,allow-oom',
  `
${PRIMARY}
${OPENED}
local records = call('ZCARD', NAMES) - 1
local shards = math.min(tonumber(ARGV[1]), math.floor(records / tonumber(ARGV[2])))
local answer = { 'ok' }
for n = 1, shards - 1 do
  local rank = math.floor(n * records / shards)
  answer[n + 1] = call('ZRANGE', NAMES, rank, rank)[1]
end
return answer
`,
)

/**
 * ARGV: the name behind which to begin. Answers `ok`, the name to go on behind or nil, then each KEK id with the number of
 * records whose wrap text names it.
 */
export const CENSUS = script(
  'no-writes,allow-oom',
  `
${PRIMARY}
${OPENED}
local cursor, began, counts, more = ARGV[1], clock(), {}, true
while more and clock() - began < ${LONGEST_MS} do
  local names = call('ZRANGE', NAMES, '(' .. cursor, '+', 'BYLEX', 'LIMIT', 0, 256)
  more = #names == 256
  if #names > 0 then
    cursor = names[#names]
    for _, wrap in ipairs(call('HMGET', WRAPS, unpack(names))) do
      if not wrap then return { 'damaged' } end
      local id = match(wrap, '^[^:]*:[^:]*:([^:]*)') or ''
      counts[id] = (counts[id] or 0) + 1
    end
  end
end
local answer = { 'ok', more and cursor or false }
for id, count in pairs(counts) do
  answer[#answer + 1] = id
  answer[#answer + 1] = tostring(count)
end
return answer
`,
)
