import { Badge, Button, Group, Menu, Text } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, data } from '../api/client'
import { type User, useMe } from '../app/session'
import { useText } from '../i18n/text'
import { Confirm } from '../kit/confirm'
import { useNotify } from '../kit/notify'
import { Page } from '../kit/page'
import { Loaded } from '../kit/states'
import { type Column, DataTable } from '../kit/table'
import { safe } from '../lib/safe'
import { PasswordForm, UserForm } from './userform'
import { usersQuery } from './userlist'

type Doing = { what: 'edit' | 'password' | 'factor' | 'delete'; user: User } | { what: 'add' }

export function UsersPage() {
  const { t } = useText()
  const notify = useNotify()
  const users = useQuery(usersQuery)
  const queries = useQueryClient()
  const [doing, setDoing] = useState<Doing>()
  const refresh = () => {
    for (const key of ['users', 'teams', 'directory', 'me']) void queries.invalidateQueries({ queryKey: [key] })
  }
  const close = () => setDoing(undefined)
  return (
    <Page
      title={t('users.title')}
      actions={<Button onClick={() => setDoing({ what: 'add' })}>{t('users.add')}</Button>}
    >
      <Loaded query={users}>{(list) => <UserTable list={list} act={setDoing} />}</Loaded>
      {doing?.what === 'add' && <UserForm users={users.data ?? []} done={refresh} close={close} />}
      {doing?.what === 'edit' && <UserForm user={doing.user} users={users.data ?? []} done={refresh} close={close} />}
      {doing?.what === 'password' && <PasswordForm user={doing.user} close={close} />}
      {doing?.what === 'factor' && (
        <Confirm
          title={t('users.resetFactor')}
          text={t('users.resetFactorText', { name: safe(doing.user.name) })}
          action={t('users.resetFactor')}
          run={() => data(api.DELETE('/api/v1/users/{id}/totp', { params: { path: { id: doing.user.id } } }))}
          done={() => {
            notify(t('app.saved'))
            refresh()
          }}
          close={close}
        />
      )}
      {doing?.what === 'delete' && (
        <Confirm
          title={t('users.deleteTitle', { name: safe(doing.user.name) })}
          text={t('users.deleteText')}
          action={t('users.delete')}
          run={() => data(api.DELETE('/api/v1/users/{id}', { params: { path: { id: doing.user.id } } }))}
          done={refresh}
          close={close}
        />
      )}
    </Page>
  )
}

function UserTable({ list, act }: { list: User[]; act: (d: Doing) => void }) {
  const { t, coded } = useText()
  const me = useMe().user
  const columns: Column<User>[] = [
    {
      key: 'name',
      title: t('users.name'),
      cell: (u) => (
        <div>
          <Text fw={500} size="sm" span className="name">
            {safe(u.name)}
          </Text>
          {u.id === me.id && <Text span size="sm">{` (${t('users.you')})`}</Text>}
          <Text size="xs" c="dimmed">
            {u.login}
          </Text>
        </div>
      ),
    },
    { key: 'role', title: t('users.role'), cell: (u) => coded('role', u.role) },
    {
      key: 'teams',
      title: t('users.teams'),
      cell: (u) => <span className="name">{u.teams.map(safe).join(', ')}</span>,
    },
    { key: 'targets', title: t('users.targets'), cell: (u) => <span className="name">{u.targets.join(', ')}</span> },
    { key: 'factor', title: t('users.factor'), cell: (u) => t(u.totp ? 'users.on' : 'users.off') },
    {
      key: 'status',
      title: t('users.status'),
      cell: (u) => (
        <Badge color={u.disabled ? 'gray' : 'leaf'} variant="light" tt="none">
          {t(u.disabled ? 'users.disabled' : 'users.active')}
        </Badge>
      ),
    },
    {
      key: 'actions',
      title: t('app.actions'),
      hideTitle: true,
      right: true,
      cell: (u) => (
        <Group gap="xs" justify="flex-end" wrap="nowrap">
          <Button
            size="xs"
            variant="default"
            aria-label={t('users.editOf', { name: safe(u.name) })}
            onClick={() => act({ what: 'edit', user: u })}
          >
            {t('users.edit')}
          </Button>
          <Menu position="bottom-end">
            <Menu.Target>
              <Button size="xs" variant="default" aria-label={t('users.manage', { name: safe(u.name) })}>
                {'⋯'}
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item onClick={() => act({ what: 'password', user: u })}>{t('users.setPassword')}</Menu.Item>
              {u.totp && (
                <Menu.Item onClick={() => act({ what: 'factor', user: u })}>{t('users.resetFactor')}</Menu.Item>
              )}
              {u.id !== me.id && (
                <Menu.Item color="red" onClick={() => act({ what: 'delete', user: u })}>
                  {t('users.delete')}
                </Menu.Item>
              )}
            </Menu.Dropdown>
          </Menu>
        </Group>
      ),
    },
  ]
  return <DataTable label={t('users.title')} columns={columns} rows={list} id={(u) => u.id} />
}
