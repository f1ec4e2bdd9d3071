import { type Names, quoteText } from './names.ts'

/**
 * The functions of the store. They run with the rights of their caller.
 *
 * A writer locks the empty table `fence` and looks at the keyring document in the next statement, never in the same one:
 * a statement sees what was committed when it began, and the lock may have been waited for. For that the functions are
 * volatile. Whoever changes the keyring document locks the fence against all writers, so that it is through as soon as the
 * transactions that were before it have ended, however many come behind; a shared lock on the document's row would let them
 * pass by for ever.
 */
export function functions(names: Names): string {
  return [
    guard(names),
    guardPlainSql(names),
    applyChanges(names),
    writeDocument(names),
    writeKeyring(names),
  ].join('\n')
}

const QUIET = 'SET search_path = pg_catalog, pg_temp'

function guard(names: Names): string {
  return `CREATE FUNCTION ${names.of('guard')}(p_revision bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE ${QUIET} AS $talos$
DECLARE
  v_open boolean;
BEGIN
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION USING ERRCODE = 'TLS01', MESSAGE = 'this server is a replica';
  END IF;
  LOCK TABLE ${names.of('fence')} IN ROW EXCLUSIVE MODE;
  -- Under an older snapshot the look below could miss a fence; locking the row ends such a transaction with 40001.
  IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
    PERFORM 1 FROM ${names.of('documents')} WHERE key = 'keyring' FOR SHARE;
  END IF;
  SELECT count(*) = 1 INTO v_open FROM ${names.of('documents')} WHERE key = 'keyring' AND revision = p_revision;
  IF v_open THEN
    PERFORM set_config(${names.guardSetting}, p_revision::text, true);
  END IF;
  RETURN v_open;
END
$talos$;`
}

/** For the optional trigger. The lock of `guard` is held until the transaction ends, so its look still holds. */
function guardPlainSql(names: Names): string {
  const hint = quoteText(
    `run first, in the same transaction: SELECT ${names.of('guard')}(<revision of the keyring document>)`,
  )
  return `CREATE FUNCTION ${names.of('guard_plain_sql')}() RETURNS trigger
LANGUAGE plpgsql VOLATILE ${QUIET} AS $talos$
DECLARE
  v_revision text := current_setting(${names.guardSetting}, true);
BEGIN
  IF v_revision IS NULL OR v_revision = '' OR NOT ${names.of('guard')}(v_revision::bigint) THEN
    RAISE EXCEPTION USING ERRCODE = 'TLS02', HINT = ${hint},
      MESSAGE = 'this write of secrets is not guarded by the present revision of the keyring document';
  END IF;
  RETURN NULL;
END
$talos$;`
}

/**
 * Applies changes of which each is `c` create, `r` replace, `w` rewrap or `d` delete, and answers a letter for each:
 * `d` done, `a` already, `c` changed, `m` missing, `f` fenced.
 *
 * Joins are kept to index lookups in the order of the names: two calls that lock the same records in different orders would
 * wait for each other.
 */
function applyChanges(names: Names): string {
  const secrets = names.of('secrets')
  const input = (kind: string) => `(
      SELECT u.* FROM unnest(v_kinds, p_names, p_expected, p_wraps, p_metas, p_sealed)
        WITH ORDINALITY AS u (kind, name, expected, wrap, meta, sealed, ord)
      WHERE u.kind = '${kind}' ORDER BY u.name COLLATE "C"
    ) u`
  const step = (
    kind: string,
    condition: string,
    statement: string,
  ) => `  IF ${condition}strpos(p_kinds, '${kind}') > 0 THEN
    WITH step AS (
      ${statement}
    ) SELECT v_done || coalesce(array_agg(ord), '{}') INTO v_done FROM step;
  END IF;`
  return `CREATE FUNCTION ${names.of('apply_changes')}(
  p_guard bigint, p_kinds text, p_names text[], p_expected text[], p_wraps text[], p_metas text[], p_sealed bytea[]
) RETURNS text
LANGUAGE plpgsql VOLATILE ${QUIET}
SET enable_hashjoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $talos$
DECLARE
  v_kinds text[] := string_to_array(p_kinds, NULL);
  v_count integer := cardinality(p_names);
  v_done bigint[] := '{}';
  v_open boolean;
  v_outcomes text;
BEGIN
  v_open := ${names.of('guard')}(p_guard);
  IF p_kinds <> repeat(left(p_kinds, 1), v_count) THEN
    PERFORM 1 FROM ${secrets} s WHERE s.name = ANY (p_names) ORDER BY s.name FOR UPDATE;
  END IF;
${step(
  'w',
  'v_open AND ',
  `UPDATE ${secrets} s SET wrap = u.wrap, meta = u.meta FROM ${input('w')}
      WHERE s.name = u.name AND s.wrap = u.expected AND u.wrap <> u.expected RETURNING u.ord`,
)}
${step(
  'r',
  'v_open AND ',
  `UPDATE ${secrets} s SET wrap = u.wrap, meta = u.meta, sealed = u.sealed FROM ${input('r')}
      WHERE s.name = u.name AND s.wrap = u.expected AND u.wrap <> u.expected RETURNING u.ord`,
)}
${step(
  'd',
  '',
  `DELETE FROM ${secrets} s USING ${input('d')}
      WHERE s.name = u.name AND s.wrap = u.expected RETURNING u.ord`,
)}
  IF v_open AND strpos(p_kinds, 'c') > 0 THEN
    WITH step AS (
      INSERT INTO ${secrets} (name, wrap, meta, sealed)
      SELECT u.name, u.wrap, u.meta, u.sealed FROM ${input('c')}
      ON CONFLICT (name) DO NOTHING RETURNING name
    ) SELECT v_done || coalesce(array_agg(u.ord), '{}') INTO v_done
      FROM step JOIN unnest(p_names) WITH ORDINALITY AS u (name, ord) ON u.name = step.name;
  END IF;
  IF cardinality(v_done) = v_count THEN
    RETURN repeat('d', v_count);
  END IF;
  SELECT string_agg(
    CASE
      WHEN u.ord = ANY (v_done) THEN 'd'
      WHEN u.kind <> 'd' AND s.wrap = u.wrap THEN 'a'
      WHEN u.kind <> 'd' AND NOT v_open THEN 'f'
      WHEN u.kind = 'c' THEN 'c'
      -- A record that carries the expected wrap text now was made after the look that missed it.
      WHEN s.name IS NULL OR s.wrap = u.expected THEN 'm'
      ELSE 'c'
    END, '' ORDER BY u.ord) INTO v_outcomes
  FROM unnest(v_kinds, p_names, p_expected, p_wraps) WITH ORDINALITY AS u (kind, name, expected, wrap, ord)
  LEFT JOIN ${secrets} s ON s.name = u.name;
  RETURN v_outcomes;
END
$talos$;`
}

/** Answers the new revision, or null when the document is at another one. */
function writeDocument(names: Names): string {
  const documents = names.of('documents')
  return `CREATE FUNCTION ${names.of('write_document')}(p_key text, p_expected bigint, p_value text) RETURNS bigint
LANGUAGE plpgsql VOLATILE ${QUIET} AS $talos$
DECLARE
  v_revision bigint;
BEGIN
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION USING ERRCODE = 'TLS01', MESSAGE = 'this server is a replica';
  END IF;
  IF p_value IS NULL THEN
    DELETE FROM ${documents} WHERE key = p_key AND revision = p_expected;
    IF FOUND THEN RETURN 0; END IF;
    SELECT CASE count(*) WHEN 0 THEN 0 END INTO v_revision FROM ${documents} WHERE key = p_key;
    RETURN v_revision;
  END IF;
  IF p_expected = 0 THEN
    INSERT INTO ${documents} (key, value, revision, written_at) VALUES (p_key, p_value, 1, clock_timestamp())
    ON CONFLICT (key) DO NOTHING;
  ELSE
    UPDATE ${documents} SET value = p_value, revision = revision + 1, written_at = clock_timestamp()
    WHERE key = p_key AND revision = p_expected;
  END IF;
  IF FOUND THEN RETURN p_expected + 1; END IF;
  SELECT revision INTO v_revision FROM ${documents}
  WHERE key = p_key AND revision = p_expected + 1 AND value = p_value;
  RETURN v_revision;
END
$talos$;`
}

function writeKeyring(names: Names): string {
  return `CREATE FUNCTION ${names.of('write_keyring')}(p_lock_timeout_ms integer, p_expected bigint, p_value text) RETURNS bigint
LANGUAGE plpgsql VOLATILE ${QUIET} AS $talos$
BEGIN
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION USING ERRCODE = 'TLS01', MESSAGE = 'this server is a replica';
  END IF;
  PERFORM set_config('lock_timeout', p_lock_timeout_ms::text || 'ms', true);
  LOCK TABLE ${names.of('fence')} IN SHARE MODE;
  RETURN ${names.of('write_document')}('keyring', p_expected, p_value);
END
$talos$;`
}
