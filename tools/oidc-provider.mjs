// An OpenID Connect provider for tests, run by tools/servers: node provider.mjs PORT SECRET
import { Provider } from 'oidc-provider'
import { generateKeyPairSync } from 'node:crypto'

const [port, secret] = process.argv.slice(2)
const issuer = `http://127.0.0.1:${port}`
const callback = 'http://cloud:5000/identity/v3/auth/OS-FEDERATION/callback'
const resource = 'urn:pileus:cloud'
const people = { alice: ['engineers', 'everybody'], bob: ['everybody'] }

function key (type, options, kid) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig', kid }
}

function client (id, more = {}) {
  return {
    client_id: id, client_secret: secret, redirect_uris: [callback],
    grant_types: ['authorization_code', 'client_credentials', 'refresh_token'],
    id_token_signed_response_alg: 'ES256', ...more
  }
}

const provider = new Provider(issuer, {
  clients: [client('cloud'), client('other')],
  jwks: { keys: [key('ec', { namedCurve: 'P-256' }, 'one'), key('rsa', { modulusLength: 2048 }, 'two')] },
  cookies: { keys: [secret] },
  claims: { openid: ['sub'], email: ['email'], profile: ['name', 'groups'] },
  pkce: { required: () => true },
  async findAccount (_, id) {
    return {
      accountId: id,
      claims: async () => ({ sub: id, name: `${id} of Example`, email: `${id}@example.org`, groups: people[id] ?? [] })
    }
  },
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: 'use', audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } })
    }
  }
})
provider.listen(Number(port), '127.0.0.1')
