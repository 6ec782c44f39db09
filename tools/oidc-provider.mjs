// An OpenID Connect provider for tests, run by tools/servers: node provider.mjs PORT SECRET
// Its addresses are Keycloak's, which tests of others count on. People have SECRET as their password.
import { Provider, errors } from 'oidc-provider'
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'

const [port, secret] = process.argv.slice(2)
const realm = '/realms/master'
const issuer = `http://127.0.0.1:${port}${realm}`
const device = 'urn:ietf:params:oauth:grant-type:device_code'
const callback = 'http://cloud:5000/identity/v3/auth/OS-FEDERATION/callback'
const resource = 'urn:pileus:cloud'
const people = { alice: ['engineers', 'everybody'], bob: ['everybody'] }

function key (type, options, kid) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig', kid }
}

function client (id, more = {}) {
  return {
    client_id: id, client_secret: secret, redirect_uris: [callback],
    grant_types: ['authorization_code', 'client_credentials', 'refresh_token', 'password', device],
    id_token_signed_response_alg: 'ES256', ...more
  }
}

const provider = new Provider(issuer, {
  clients: [
    client('cloud'), client('other'),
    { client_id: 'admin-cli', token_endpoint_auth_method: 'none', redirect_uris: [callback], grant_types: ['authorization_code', 'password'] }
  ],
  routes: {
    authorization: '/protocol/openid-connect/auth',
    device_authorization: '/protocol/openid-connect/auth/device',
    introspection: '/protocol/openid-connect/token/introspect',
    jwks: '/protocol/openid-connect/certs',
    token: '/protocol/openid-connect/token',
    userinfo: '/protocol/openid-connect/userinfo'
  },
  jwks: { keys: [key('ec', { namedCurve: 'P-256' }, 'one'), key('rsa', { modulusLength: 2048 }, 'two')] },
  cookies: { keys: [secret] },
  claims: { openid: ['sub'], email: ['email'], profile: ['name', 'groups'] },
  pkce: { required: (_, client) => client.clientId !== 'other' },        // which keystoneauth cannot do
  async findAccount (_, id) {
    return {
      accountId: id,
      claims: async () => ({ sub: id, name: `${id} of Example`, email: `${id}@example.org`, groups: people[id] ?? [] })
    }
  },
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: 'use', audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } })
    }
  }
})

// The grant of OAuth 2.0 by which programs hand on a person's name and password; the provider leaves it to whoever wants it.
async function byPassword (ctx) {
  const { client, params } = ctx.oidc
  if (!(params.username in people) || params.password !== secret) {
    throw new errors.InvalidGrant('wrong name or password')
  }
  const accountId = params.username
  const grant = new provider.Grant({ accountId, clientId: client.clientId })
  grant.addOIDCScope('openid email profile')
  const token = new provider.AccessToken({
    accountId, client, grantId: await grant.save(), gty: 'password', scope: params.scope ?? 'openid'
  })
  ctx.body = { access_token: await token.save(), expires_in: token.expiration, scope: token.scope, token_type: token.tokenType }
}
provider.registerGrantType('password', byPassword, ['username', 'password', 'scope'])

const answer = provider.callback()
createServer((request, response) => {
  request.originalUrl = request.url
  request.url = request.url.startsWith(realm) ? request.url.slice(realm.length) : '/nowhere'
  answer(request, response)
}).listen(Number(port), '127.0.0.1')
