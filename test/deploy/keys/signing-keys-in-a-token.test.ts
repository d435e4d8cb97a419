import { describeSigningKeys } from '../../mesh-gateway/tokens/in-a-token/signing-keys.ts'

describeSigningKeys()
