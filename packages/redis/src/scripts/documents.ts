import { OPENED, PRIMARY, script } from './script.ts'

/** The revision and the time of the last write share one field, so that a guard is checked without reading the value. */
const DOCUMENT = `
local now = millis()
local function document(key)
  local stored, value = unpack(call('HMGET', DOCUMENTS, 'r:' .. key, 'v:' .. key))
  if not stored then return nil end
  local revision, written = match(stored, '^(%d+) (%d+)$')
  return revision, value, string.format('%.0f', math.max(0, now - tonumber(written)))
end
`

/** ARGV: a key. Answers `ok` and, where there is a document, its revision, value and age in milliseconds. */
export const READ_DOCUMENT = script(
  'no-writes,allow-oom',
  `
${PRIMARY}
${OPENED}
${DOCUMENT}
return { 'ok', document(ARGV[1]) }
`,
)

/** ARGV: key, expected revision, and the value unless it is deleted. Answers `ok` and the revision, or nil. */
export const WRITE_DOCUMENT = script(
  '',
  `
${OPENED}
local key, expected, value = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local stored = call('HGET', DOCUMENTS, 'r:' .. key)
local revision = stored and tonumber(match(stored, '^%d+')) or 0
if not value then
  if revision ~= 0 and revision ~= expected then return { 'ok', false } end
  call('HDEL', DOCUMENTS, 'r:' .. key, 'v:' .. key)
  call('ZREM', INDEX, key)
  return { 'ok', '0' }
end
local next = string.format('%.0f', expected + 1)
if revision == expected + 1 and call('HGET', DOCUMENTS, 'v:' .. key) == value then return { 'ok', next } end
if revision ~= expected then return { 'ok', false } end
call('HSET', DOCUMENTS, 'r:' .. key, next .. ' ' .. string.format('%.0f', millis()), 'v:' .. key, value)
call('ZADD', INDEX, 0, key)
return { 'ok', next }
`,
)

/** ARGV: prefix, the key behind which to begin, the most items. Answers `ok`, the key to go on behind or nil, then key, revision, value and age of each. */
export const LIST_DOCUMENTS = script(
  'no-writes,allow-oom',
  `
${PRIMARY}
${OPENED}
${DOCUMENT}
local prefix, cursor, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local from = (cursor ~= '' or prefix == '') and '(' .. cursor or '[' .. prefix
local keys = call('ZRANGE', INDEX, from, '[' .. prefix .. '\\255', 'BYLEX', 'LIMIT', 0, limit + 1)
local answer, bytes = { 'ok', false }, 0
for n, key in ipairs(keys) do
  if n > limit or bytes > 1048576 then
    answer[2] = keys[n - 1]
    break
  end
  local revision, value, age = document(key)
  if not revision or not value then return { 'damaged' } end
  for _, part in ipairs({ key, revision, value, age }) do answer[#answer + 1] = part end
  bytes = bytes + #value
end
return answer
`,
)
