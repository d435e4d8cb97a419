/** Egress and delegation do the same steps, each in a file or a folder of the same name: port, admit, carry, record. */
import type { SourceFile } from '../repository-files.ts'

const STEPS = [
  ...['port.ts', 'client/', 'admit.ts', 'upstream/', 'carry/', 'live/', 'respond.ts', 'record.ts'],
  ...['count-refusals.ts', 'shutdown.ts'],
] as const

/** The steps that a plane lacks, as `egress/record.ts`. */
export function missingSteps(files: readonly SourceFile[]): string[] {
  return ['egress', 'delegation'].flatMap((plane) =>
    STEPS.map((step) => `${plane}/${step}`).filter(
      (place) => !files.some(({ path }) => path.startsWith(`mesh-gateway/src/${place}`)),
    ),
  )
}
