import type { Page, StoredDocument } from '@talos/envelope'
import type { Connection } from './connection.ts'
import type { Deadline } from './deadline.ts'
import { LIST_DOCUMENTS, READ_DOCUMENT, WRITE_DOCUMENT } from './scripts/documents.ts'
import { inGroups } from './secrets.ts'

export async function readDocument(
  connection: Connection,
  key: string,
  deadline: Deadline,
): Promise<StoredDocument | null> {
  const answer = (await connection.ask(READ_DOCUMENT, [key], deadline)) ?? []
  const [document] = inGroups(answer, 3)
  return document === undefined ? null : documentOf([key, ...document])
}

/** @returns The new revision, 0 for a document that is gone, `null` where another revision is there. */
export async function writeDocument(
  connection: Connection,
  key: string,
  expectedRevision: number,
  value: string | null,
  deadline: Deadline,
): Promise<number | null> {
  const args = [key, expectedRevision, ...(value === null ? [] : [value])]
  const [revision = null] = (await connection.write(WRITE_DOCUMENT, args, deadline)) ?? []
  return revision === null ? null : Number(revision)
}

export async function listDocuments(
  connection: Connection,
  query: { readonly prefix: string; readonly cursor: string | null; readonly limit: number },
  deadline: Deadline,
): Promise<Page<StoredDocument>> {
  const args = [query.prefix, query.cursor ?? '', query.limit]
  const [next = null, ...rest] = (await connection.ask(LIST_DOCUMENTS, args, deadline)) ?? []
  return { items: inGroups(rest, 4).map(documentOf), next: next === null ? null : String(next) }
}

function documentOf([key = '', revision, value = '', ageMs]: readonly string[]): StoredDocument {
  return { key, value, revision: Number(revision), ageMs: Number(ageMs) }
}
