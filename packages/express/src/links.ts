/**
 * Makes paths below the mount links that a client can follow.
 *
 * @param publicUrl - The mount as clients reach it; without one, links are relative to the request.
 * @returns A function of a path and of how many segments below the mount the request is.
 * @throws TypeError when `publicUrl` is not an http address.
 */
export function linksBelow(publicUrl: string | undefined): (path: string, depth: number) => string {
  if (publicUrl === undefined) return (path, depth) => '../'.repeat(depth - 1) + path
  const url = URL.parse(publicUrl)
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.search ||
    url.hash ||
    url.username ||
    url.password
  ) {
    throw new TypeError(
      'adminRouter: publicUrl must be an http or https address without query, fragment or user',
    )
  }
  const base = url.href.replace(/\/+$/, '')
  return (path) => `${base}/${path}`
}
