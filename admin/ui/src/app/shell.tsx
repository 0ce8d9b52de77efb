import { AppShell, Burger, Button, Group, Menu, Text, useMantineColorScheme } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import IconActivity from '@tabler/icons-react/dist/esm/icons/IconActivity.mjs'
import IconBrandWhatsapp from '@tabler/icons-react/dist/esm/icons/IconBrandWhatsapp.mjs'
import IconBroadcast from '@tabler/icons-react/dist/esm/icons/IconBroadcast.mjs'
import IconHistory from '@tabler/icons-react/dist/esm/icons/IconHistory.mjs'
import IconKey from '@tabler/icons-react/dist/esm/icons/IconKey.mjs'
import IconLogout from '@tabler/icons-react/dist/esm/icons/IconLogout.mjs'
import IconPhone from '@tabler/icons-react/dist/esm/icons/IconPhone.mjs'
import IconPhoneCall from '@tabler/icons-react/dist/esm/icons/IconPhoneCall.mjs'
import IconPlugConnected from '@tabler/icons-react/dist/esm/icons/IconPlugConnected.mjs'
import IconSettings from '@tabler/icons-react/dist/esm/icons/IconSettings.mjs'
import IconUser from '@tabler/icons-react/dist/esm/icons/IconUser.mjs'
import IconUserCircle from '@tabler/icons-react/dist/esm/icons/IconUserCircle.mjs'
import IconUsersGroup from '@tabler/icons-react/dist/esm/icons/IconUsersGroup.mjs'
import { useMutation } from '@tanstack/react-query'
import { Outlet, useRouterState } from '@tanstack/react-router'
import { useEffect } from 'react'
import { api, data } from '../api/client'
import { useText } from '../i18n/text'
import { LinkItem, LinkNav } from '../kit/links'
import { safe } from '../lib/safe'
import { covers, type Role, useMe } from './session'

const pages = [
  { to: '/calls', key: 'nav.calls', icon: IconPhone, role: 'agent' },
  { to: '/live', key: 'nav.live', icon: IconBroadcast, role: 'agent' },
  { to: '/callbacks', key: 'nav.callbacks', icon: IconPhoneCall, role: 'agent' },
  { to: '/lines', key: 'nav.lines', icon: IconBrandWhatsapp, role: 'supervisor' },
  { to: '/connections', key: 'nav.connections', icon: IconPlugConnected, role: 'supervisor' },
  { to: '/teams', key: 'nav.teams', icon: IconUsersGroup, role: 'supervisor' },
  { to: '/users', key: 'nav.users', icon: IconUser, role: 'admin' },
  { to: '/settings', key: 'nav.settings', icon: IconSettings, role: 'admin' },
  { to: '/system', key: 'nav.system', icon: IconActivity, role: 'admin' },
  { to: '/audit', key: 'nav.audit', icon: IconHistory, role: 'admin' },
  { to: '/tokens', key: 'nav.tokens', icon: IconKey, role: 'agent' },
] as const satisfies readonly { role: Role; [k: string]: unknown }[]

/** The frame around every page of somebody signed in. */
export function Shell() {
  const { t, setLanguage } = useText()
  const { setColorScheme } = useMantineColorScheme()
  const { user } = useMe()
  const [opened, menu] = useDisclosure(false)
  const path = useRouterState({ select: (s) => s.location.pathname })
  useEffect(() => {
    if (user.language === 'en' || user.language === 'id') setLanguage(user.language)
    if (user.theme === 'light' || user.theme === 'dark' || user.theme === 'auto') setColorScheme(user.theme)
  }, [user.language, user.theme, setLanguage, setColorScheme])
  // biome-ignore lint/correctness/useExhaustiveDependencies: the menu of a phone closes when the page changes
  useEffect(menu.close, [path])
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 220, breakpoint: 'sm', collapsed: { mobile: !opened } }}
      padding="md"
    >
      <a className="skip" href="#content">
        {t('app.skip')}
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger
              opened={opened}
              onClick={menu.toggle}
              hiddenFrom="sm"
              size="sm"
              aria-label={t(opened ? 'app.menuClose' : 'app.menu')}
              aria-expanded={opened}
            />
            <img src="/icon.svg" alt="" width="28" height="28" />
            <Text fw={600}>{t('app.name')}</Text>
          </Group>
          <Account />
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label={t('app.nav')}>
        {pages
          .filter((p) => covers(user.role, p.role))
          .map((p) => {
            const active = path === p.to || path.startsWith(`${p.to}/`)
            return (
              <LinkNav
                key={p.to}
                to={p.to}
                search={{}}
                label={t(p.key)}
                active={active}
                aria-current={active ? 'page' : undefined}
                leftSection={<p.icon size={20} aria-hidden />}
              />
            )
          })}
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1}>
        <Outlet />
      </AppShell.Main>
    </AppShell>
  )
}

function Account() {
  const { t, coded } = useText()
  const { user } = useMe()
  const signOut = useMutation({
    mutationFn: () => data(api.DELETE('/api/v1/session')),
    // A new load: the next person at this browser finds nothing of this one in its memory.
    onSuccess: () => window.location.assign('/sign-in'),
  })
  return (
    <Menu position="bottom-end" width={220}>
      <Menu.Target>
        <Button
          variant="subtle"
          color="gray"
          c="var(--mantine-color-text)"
          leftSection={<IconUserCircle size={20} aria-hidden />}
          aria-label={t('app.account', { name: safe(user.name) })}
          loading={signOut.isPending}
        >
          <span className="name">{safe(user.name)}</span>
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{coded('role', user.role)}</Menu.Label>
        <LinkItem to="/profile" leftSection={<IconUserCircle size={16} aria-hidden />}>
          {t('nav.profile')}
        </LinkItem>
        <Menu.Item leftSection={<IconLogout size={16} aria-hidden />} onClick={() => signOut.mutate()}>
          {t('app.signOut')}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
