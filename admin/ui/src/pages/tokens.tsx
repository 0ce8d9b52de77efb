import { Alert, Button, Checkbox, Group, Stack, Switch, Text, TextInput } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { api, data, type Schemas } from '../api/client'
import { covers, type Role, useMe } from '../app/session'
import { useText } from '../i18n/text'
import { Confirm } from '../kit/confirm'
import { Copy } from '../kit/copy'
import { Dialog } from '../kit/dialog'
import { Page } from '../kit/page'
import { Failure } from '../kit/problem'
import { Empty, Loaded } from '../kit/states'
import { type Column, DataTable } from '../kit/table'
import { daysAgo } from '../lib/filter'
import { safe } from '../lib/safe'

type Token = Schemas['Token']

/** What a token can be allowed and the least role that gets anything from it: a token may never do more than its owner. */
const scopes = [
  ['calls:read', 'agent'],
  ['calls:write', 'agent'],
  ['calls:export', 'agent'],
  ['recordings:read', 'agent'],
  ['customers:read', 'agent'],
  ['customers:write', 'agent'],
  ['callbacks:read', 'agent'],
  ['callbacks:write', 'agent'],
  ['live:read', 'agent'],
  ['live:write', 'agent'],
  ['status:read', 'supervisor'],
  ['users:read', 'supervisor'],
  ['users:write', 'admin'],
  ['settings:read', 'admin'],
  ['settings:write', 'admin'],
  ['audit:read', 'admin'],
] as const satisfies readonly (readonly [string, Role])[]

export function TokensPage() {
  const { t, coded, f } = useText()
  const { user } = useMe()
  const queries = useQueryClient()
  const admin = covers(user.role, 'admin')
  const [all, setAll] = useState(false)
  const [adding, setAdding] = useState(false)
  const [deleting, setDeleting] = useState<Token>()
  const tokens = useQuery({
    queryKey: ['tokens', all],
    queryFn: async () => (await data(api.GET('/api/v1/tokens', { params: { query: all ? { all } : {} } }))).tokens,
  })
  const refresh = () => void queries.invalidateQueries({ queryKey: ['tokens'] })
  const columns: Column<Token>[] = [
    {
      key: 'name',
      title: t('tokens.name'),
      cell: (x) => (
        <Text fw={500} size="sm" className="name">
          {safe(x.name)}
        </Text>
      ),
    },
    { key: 'scopes', title: t('tokens.scopes'), cell: (x) => x.scopes.map((s) => coded('scope', s)).join(', ') },
    { key: 'created', title: t('tokens.created'), cell: (x) => f.dateTime(x.created) },
    { key: 'used', title: t('tokens.used'), cell: (x) => f.dateTime(x.used) || t('app.never') },
    { key: 'expires', title: t('tokens.expires'), cell: (x) => f.dateTime(x.expires) || t('app.never') },
    {
      key: 'delete',
      title: t('app.actions'),
      hideTitle: true,
      right: true,
      cell: (x) => (
        <Button
          size="xs"
          color="red"
          variant="light"
          aria-label={t('tokens.delete', { name: safe(x.name) })}
          onClick={() => setDeleting(x)}
        >
          {t('users.delete')}
        </Button>
      ),
    },
  ]
  if (all) columns.splice(1, 0, { key: 'owner', title: t('tokens.owner'), cell: (x) => x.login ?? '' })
  return (
    <Page
      title={t('tokens.title')}
      text={t('tokens.text')}
      actions={<Button onClick={() => setAdding(true)}>{t('tokens.add')}</Button>}
    >
      {admin && <Switch label={t('tokens.all')} checked={all} onChange={(e) => setAll(e.currentTarget.checked)} />}
      <Loaded query={tokens}>
        {(list) =>
          list.length === 0 ? (
            <Empty title={t('tokens.empty')} text={t('tokens.emptyText')} />
          ) : (
            <DataTable label={t('tokens.title')} columns={columns} rows={list} id={(x) => x.id} />
          )
        }
      </Loaded>
      {adding && <TokenForm role={user.role} done={refresh} close={() => setAdding(false)} />}
      {deleting && (
        <Confirm
          title={t('tokens.deleteTitle', { name: safe(deleting.name) })}
          text={t('tokens.deleteText')}
          action={t('users.delete')}
          run={() => data(api.DELETE('/api/v1/tokens/{id}', { params: { path: { id: deleting.id } } }))}
          done={refresh}
          close={() => setDeleting(undefined)}
        />
      )}
    </Page>
  )
}

function TokenForm({ role, done, close }: { role: string; done: () => void; close: () => void }) {
  const { t } = useText()
  const [name, setName] = useState('')
  const [chosen, setChosen] = useState<string[]>(['calls:read'])
  const [expires, setExpires] = useState('')
  const [tried, setTried] = useState(false)
  const make = useMutation({
    mutationFn: () =>
      data(
        api.POST('/api/v1/tokens', {
          body: {
            name: name.trim(),
            scopes: chosen,
            ...(expires && { expires: new Date(`${expires}T23:59:59`).toISOString() }),
          },
        }),
      ),
    onSuccess: done,
  })
  const submit = (e: FormEvent) => {
    e.preventDefault()
    setTried(true)
    if (name.trim() !== '' && chosen.length > 0) make.mutate()
  }
  if (make.data) return <Secret made={make.data} close={close} />
  return (
    <Dialog title={t('tokens.add')} close={close}>
      <form onSubmit={submit} noValidate>
        <Stack>
          <TextInput
            label={t('tokens.name')}
            description={t('tokens.nameHint')}
            value={name}
            onChange={(e) => setName(e.currentTarget.value)}
            maxLength={64}
            required
            data-autofocus
            error={tried && name.trim() === '' && t('field.required')}
          />
          <Checkbox.Group
            label={t('tokens.scopes')}
            value={chosen}
            onChange={setChosen}
            error={tried && chosen.length === 0 && t('tokens.needScope')}
          >
            <Stack gap="xs" mt="xs">
              {scopes
                .filter(([, needs]) => covers(role, needs))
                .map(([s]) => (
                  <Checkbox key={s} value={s} label={t(`scope.${s}`)} />
                ))}
            </Stack>
          </Checkbox.Group>
          <TextInput
            type="date"
            label={t('tokens.expires')}
            description={t('tokens.expiresHint')}
            value={expires}
            min={daysAgo(new Date(), 0)}
            onChange={(e) => setExpires(e.currentTarget.value)}
          />
          {make.isError && <Failure error={make.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {t('app.cancel')}
            </Button>
            <Button type="submit" loading={make.isPending}>
              {t('tokens.add')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  )
}

/** The one time a token is seen. */
function Secret({ made, close }: { made: Schemas['TokenMade']; close: () => void }) {
  const { t } = useText()
  return (
    <Dialog title={t('tokens.secretTitle', { name: safe(made.token.name) })} close={close}>
      <Stack>
        <Alert color="orange">{t('tokens.secretText')}</Alert>
        <TextInput
          className="code"
          label={t('tokens.secret')}
          value={made.secret}
          readOnly
          onFocus={(e) => e.currentTarget.select()}
          data-autofocus
        />
        <Group justify="flex-end">
          <Copy text={made.secret} />
          <Button size="xs" onClick={close}>
            {t('tokens.done')}
          </Button>
        </Group>
      </Stack>
    </Dialog>
  )
}
