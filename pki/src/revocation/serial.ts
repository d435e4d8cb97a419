/** The canonical form of serial numbers. */
import { MeshError } from '@clawmesh/proto'

/** Lower case, two digits per byte, without the colons that openssl prints. */
export function canonicalSerial(text: string): string {
  const hex = text
    .replaceAll(':', '')
    .toLowerCase()
    .replace(/^(?:00)+(?=.)/, '')
  if (!/^[0-9a-f]{1,40}$/.test(hex))
    throw new MeshError('MESH_PKI_NOT_FOUND', `${JSON.stringify(text)} is not a serial number`, {
      hint: '`mesh-pki inspect` shows the serial number of a certificate',
    })
  return hex.length % 2 === 0 ? hex : `0${hex}`
}
