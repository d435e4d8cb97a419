/**
 * `npm ci` refuses a lock file that lacks an optional dependency of another platform, as a lock file does that was
 * made where the registry did not have it.
 */
import { isRecord } from '../../../scripts/dev/message.ts'
import type { SourceFile } from '../repository-files.ts'

export function lockFileFaults(file: SourceFile): string[] {
  if (file.path !== 'package-lock.json') return []
  const lock: unknown = JSON.parse(file.text)
  const packages = isRecord(lock) && isRecord(lock.packages) ? lock.packages : {}
  return Object.entries(packages).flatMap(([place, entry]) => {
    if (!isRecord(entry)) return []
    const { dependencies = {}, optionalDependencies = {} } = entry
    return Object.keys({ ...Object(dependencies), ...Object(optionalDependencies) }).flatMap(
      (name) =>
        places(place, name).some((each) => each in packages)
          ? []
          : [`${file.path}: lacks ${name}, which ${place} depends on`],
    )
  })
}

/** Where npm looks for a dependency of what is installed at a place: there, then further up. */
function places(from: string, name: string): string[] {
  const found: string[] = []
  let at = from
  for (;;) {
    found.push(`${at === '' ? '' : `${at}/`}node_modules/${name}`)
    if (at === '') return found
    const up = at.lastIndexOf('/node_modules/')
    at = up === -1 ? '' : at.slice(0, up)
  }
}
