/** Signing keys in a directory, for a test that mounts them where a gateway cannot make them. */
import { ensureRing } from '../../../mesh-gateway/src/tokens/rotate-keys.ts'

export async function makeKeyRing(dir: string): Promise<void> {
  await ensureRing({ dir })
}
