import { Component, type ReactNode } from "react";
import { FatalError } from "./states.tsx";

interface Props {
  readonly children: ReactNode;
}

/** Shows what failed instead of an empty page. */
export class ErrorBoundary extends Component<Props, { readonly problem?: unknown }> {
  override state: { readonly problem?: unknown } = {};

  static getDerivedStateFromError(problem: unknown): { readonly problem: unknown } {
    return { problem };
  }

  override render(): ReactNode {
    return this.state.problem === undefined ? this.props.children : <FatalError problem={this.state.problem} />;
  }
}
