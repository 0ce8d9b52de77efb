import {
  Anchor,
  type AnchorProps,
  Button,
  type ButtonProps,
  Menu,
  type MenuItemProps,
  NavLink,
  type NavLinkProps,
} from '@mantine/core'
import { createLink } from '@tanstack/react-router'
import type { AnchorHTMLAttributes, Ref } from 'react'

// The kit's widgets as links of the router: addresses are checked by the compiler, and a middle click opens a tab.
type A<P> = P & Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof P> & { ref?: Ref<HTMLAnchorElement> }

export const LinkButton = createLink((p: A<ButtonProps>) => <Button component="a" {...p} />)
export const LinkAnchor = createLink((p: A<AnchorProps>) => <Anchor component="a" {...p} />)
export const LinkNav = createLink((p: A<NavLinkProps>) => <NavLink component="a" {...p} />)
export const LinkItem = createLink((p: A<MenuItemProps>) => <Menu.Item component="a" {...p} />)
