"""PoseGPT's generator: a transformer over the auto-encoder's codes (docs/specs/posegpt.md, section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.errors import ConfigError, InputError
from contrapposto.nn.attention import Block
from contrapposto.nn.dropout import Dropout
from contrapposto.nn.positions import sine_table
from contrapposto.nn.stacks import initialise
from contrapposto.systems.posegpt.autoencoder import MotionAutoEncoder
from contrapposto.systems.posegpt.depth_head import DepthHead

Positions = Literal["scratch", "scratch_frozen", "sine_ft", "sine_frozen"]
Head = Literal["linear", "mlp", "depth"]


@dataclass(frozen=True)
class Condition:
    """The conditions of every position, embedded.

    Args:
        action: (B, 1, C) for the whole sequence or (B, P, C) position by position; None without.
        length: (B, 1, C); None without.
    """

    action: Tensor | None = None
    length: Tensor | None = None


class TokenGPT(nn.Module):
    """The transformer itself (`gpt.` in the original's files).

    Position i sees the tokens before i and predicts token i, all its codes at once or one after the other; position 0
    sees a zero vector, or the action where it is `prepended`.

    Args:
        num_books: K.
        num_codes: codes of all codebooks together.
        width: C.
        num_layers: blocks.
        heads: attention heads.
        block_size: the largest number of positions.
        dropout: rate in the blocks.
        entry_dropout: rate before the first block.
        extras: number of conditions at every position.
        concatenate: join token, position and conditions and mix them by a linear layer, or else add them up.
        end_token: one more class per codebook, the first, which means that the motion is over.
        head: `linear` without bias, or `mlp`: all codes of a token independently; `depth`: one after the other, see
            `DepthHead`.
        positions: start of the position table (zeros or sine) and whether it is trained.
        causal: False lets every position see all tokens, which makes sampling meaningless.
        original_offsets: codebook i begins at row i V of the token table, as in the original, where the last code
            of a codebook then shares its row with the next one's padding; else at i (V + 1).
    """

    def __init__(
        self,
        num_books: int,
        num_codes: int,
        width: int,
        num_layers: int,
        heads: int,
        block_size: int,
        dropout: float,
        entry_dropout: float,
        extras: int,
        concatenate: bool,
        end_token: bool,
        head: Head,
        positions: Positions,
        causal: bool,
        original_offsets: bool,
    ) -> None:
        super().__init__()
        self.concatenate, self.causal, self.end_token = concatenate, causal, end_token
        self.num_books, self.book_size = num_books, num_codes // num_books
        self.tok_emb = nn.Embedding(num_codes + num_books, width // num_books)
        self.drop = Dropout(entry_dropout)
        self.blocks = nn.ModuleList(
            Block(width, heads, causal=causal, dropout=dropout) for _ in range(num_layers)
        )
        self.ln_f = nn.LayerNorm(width)
        classes = self.book_size + int(end_token)
        self.depth = DepthHead(num_books, self.book_size, width) if head == "depth" else None
        independent = 0 if head == "depth" else num_books
        self.list_head = nn.ModuleList(_make_head(head, width, classes) for _ in range(independent))
        if concatenate:
            self.fc_emb = nn.Linear((2 + extras) * width, width)
        self.apply(initialise)
        self.pos_emb = _position_parameter(positions, block_size, width)
        step = self.book_size + int(not original_offsets)
        self.register_buffer("offsets", torch.arange(num_books) * step, persistent=False)

    offsets: Tensor

    @property
    def block_size(self) -> int:
        """The largest number of positions."""
        return self.pos_emb.shape[1]

    def forward(self, indices: Tensor, condition: Condition, prepended: Tensor | None = None) -> Tensor:
        """Logits (B, L + 1, K, classes) of codes (B, L, K), -1 for padding; `prepended` (B, 1, C)."""
        features = self.features(indices, condition, prepended)
        if self.depth is not None:
            logits: Tensor = self.depth(features, F.pad(indices, (0, 0, 0, 1)))
            return logits
        return torch.stack([head(features) for head in self.list_head], dim=2)

    def features(self, indices: Tensor, condition: Condition, prepended: Tensor | None = None) -> Tensor:
        """(B, L + 1, C) from which the logits are made; arguments of `forward`."""
        features = self._inputs(indices, condition, prepended)
        for block in self.blocks:
            features = block(features)
        normal: Tensor = self.ln_f(features)
        return normal

    def _inputs(self, indices: Tensor, condition: Condition, prepended: Tensor | None) -> Tensor:
        tokens = self.tok_emb(indices + 1 + self.offsets).flatten(2)
        first = tokens.new_zeros(len(tokens), 1, tokens.shape[2]) if prepended is None else prepended
        tokens = torch.cat([first, tokens], dim=1)
        count = tokens.shape[1]
        if count > self.block_size:
            raise InputError(
                f"{count - 1} tokens do not fit this generator.",
                expected=f"at most {self.block_size - 1}",
                fix="ask for fewer frames, or generate by a sliding window",
            )
        parts = [tokens, self.pos_emb[:, :count].expand_as(tokens)]
        for extra in (condition.action, condition.length):
            if extra is not None:
                parts.append(extra[:, :count].expand_as(tokens))
        mixed = self.fc_emb(torch.cat(parts, dim=-1)) if self.concatenate else torch.stack(parts).sum(0)
        return self.drop(mixed)


class PoseGPT(nn.Module):
    """Tokens given an action, a length and a past; the state dict has the original's names.

    Which conditions there are, and how they come in:

    | | `every_step=False` | `every_step=True` |
    |---|---|---|
    | actions | the first position | every position; may change from frame to frame |
    | lengths | - | every position |

    Args:
        vqvae: the auto-encoder, part of this module (`vqvae.` in the original's files) but never trained by
            it; None to work on tokens only.
        num_books, num_codes: of the auto-encoder, where it is not given.
        factor: frames per token, where the auto-encoder is not given.
        width: C.
        num_layers, heads, block_size: of the transformer.
        dropout: rate everywhere in the transformer.
        actions: condition on actions.
        lengths: condition on the number of frames.
        every_step, concatenate: see above and `TokenGPT`.
        end_token, head, positions, causal, original_offsets: see `TokenGPT`.
        length_positions: as `positions`, for the table of lengths; `scratch` starts at N(0, 1) there.
        num_actions: size of the vocabulary; the original's table has 64 rows whatever it is.
        max_length: the largest number of frames of the length table.
        original_shift: actions that change from frame to frame reach the token after theirs, as in the
            original; else the token that they hold for.

    Raises:
        ConfigError: a combination that cannot be.
    """

    def __init__(
        self,
        vqvae: MotionAutoEncoder | None = None,
        *,
        num_books: int = 2,
        num_codes: int = 512,
        factor: int = 2,
        width: int = 256,
        num_layers: int = 8,
        heads: int = 4,
        block_size: int = 512,
        dropout: float = 0.2,
        actions: bool = True,
        lengths: bool = True,
        every_step: bool = True,
        concatenate: bool = True,
        end_token: bool = False,
        head: Head = "linear",
        positions: Positions = "scratch",
        length_positions: Positions = "scratch",
        num_actions: int = 60,
        max_length: int = 1023,
        causal: bool = True,
        original_offsets: bool = False,
        original_shift: bool = False,
    ) -> None:
        super().__init__()
        if vqvae is not None:
            num_books, factor = vqvae.num_books, vqvae.factor
            num_codes = vqvae.num_books * vqvae.book_size
        _check(locals())
        self.factor, self.every_step = factor, every_step
        self.original_shift, self.max_length = original_shift, max_length
        self.gpt = TokenGPT(
            num_books,
            num_codes,
            width,
            num_layers,
            heads,
            block_size,
            dropout,
            dropout,
            extras=(int(actions) + int(lengths)) if every_step else 0,
            concatenate=concatenate,
            end_token=end_token,
            head=head,
            positions=positions,
            causal=causal,
            original_offsets=original_offsets,
        )
        self.action_emb = nn.Embedding(max(64, num_actions), width) if actions else None
        self.seqlen_emb = _length_table(length_positions, max_length + 1, width) if lengths else None
        self.vqvae = vqvae
        if vqvae is not None:
            vqvae.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> PoseGPT:
        """As usual, but the auto-encoder stays in eval mode."""
        super().train(mode)
        if self.vqvae is not None:
            self.vqvae.eval()
        return self

    @torch.no_grad()
    def tokens(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Codes (B, L, K) and validity (B, L) of motion, see `MotionAutoEncoder.tokens`.

        Raises:
            ConfigError: this generator was made without its auto-encoder.
        """
        if self.vqvae is None:
            raise ConfigError("This generator has no auto-encoder.", fix="PoseGPT(vqvae, ...)")
        return self.vqvae.tokens(x, valid)

    def condition(self, actions: Tensor | None, lengths: Tensor | None) -> tuple[Condition, Tensor | None]:
        """Embedded conditions, and what stands at the first position.

        Args:
            actions: (B, A) of 0 and 1, or (B, T, A) frame by frame.
            lengths: (B,) int64 numbers of frames.

        Raises:
            InputError: a condition is missing, or a length is not in the table. Lengths that are on a device are not
                checked: the host would wait for it in every step. `check_lengths` does it where they come from.
        """
        action, length = None, None
        if self.action_emb is not None:
            action = self.action_embedding(_needed(actions, "actions"))
        if self.seqlen_emb is not None:
            length = self.length_embedding(_needed(lengths, "lengths"))
        if self.every_step:
            return Condition(action if action is None else self._align(action), length), None
        if action is not None and action.shape[1] > 1:
            raise InputError("This generator takes one action per motion, not one per frame.")
        return Condition(), action

    def action_embedding(self, actions: Tensor) -> Tensor:
        """Sum of the rows of all active classes: (B, A) to (B, 1, C); (B, T, A) to (B, T / factor, C)."""
        assert self.action_emb is not None
        if actions.shape[-1] > len(self.action_emb.weight):
            raise InputError(
                f"{actions.shape[-1]} classes of actions.", expected=f"at most {len(self.action_emb.weight)}"
            )
        hot = actions[:, None] if actions.ndim == 2 else actions[:, :: self.factor]
        table = self.action_emb.weight[: actions.shape[-1]]
        return hot.to(table.dtype) @ table

    def length_embedding(self, lengths: Tensor) -> Tensor:
        """(B,) numbers of frames to (B, 1, C)."""
        if lengths.device.type == "cpu":
            self.check_lengths(int(lengths.min()), int(lengths.max()))
        table = self.seqlen_emb
        rows = table.weight if isinstance(table, nn.Embedding) else table
        assert rows is not None
        return rows[lengths][:, None]

    def check_lengths(self, shortest: int, longest: int) -> None:
        """Whether the table of lengths has all from one to the other.

        Raises:
            InputError: it does not.
        """
        if self.seqlen_emb is not None and (shortest < 0 or longest > self.max_length):
            raise InputError(
                f"A motion of {longest} frames is longer than the table of lengths.",
                expected=f"at most {self.max_length} frames",
                fix="ask for fewer frames, or generate by a sliding window",
            )

    def _align(self, action: Tensor) -> Tensor:
        """From one row per token to one per position: position i predicts token i."""
        if action.shape[1] == 1:
            return action
        if self.original_shift:
            return torch.cat([torch.zeros_like(action[:, :1]), action], dim=1)
        return torch.cat([action, action[:, -1:]], dim=1)

    def forward(
        self, indices: Tensor, actions: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """Logits (B, L + 1, K, classes), position i predicting token i.

        Args:
            indices: (B, L, K) codes, -1 for padding.
            actions: see `condition`.
            lengths: see `condition`.
        """
        condition, prepended = self.condition(actions, lengths)
        logits: Tensor = self.gpt(indices, condition, prepended)
        return logits


def _needed(value: Tensor | None, name: str) -> Tensor:
    if value is None:
        raise InputError(f"This generator is conditioned on {name}, and none were given.")
    return value


def _check(options: dict[str, object]) -> None:
    """Refuse combinations that cannot be."""
    lengths, every_step = options["lengths"], options["every_step"]
    if lengths and not every_step:
        raise ConfigError(
            "A length must be a condition at every step.", fix="every_step=true or lengths=false"
        )
    if options["concatenate"] and not every_step:
        raise ConfigError(
            "Only conditions at every step can be concatenated.",
            fix="every_step=true or concatenate=false",
        )
    for name in ("positions", "length_positions"):
        if options[name] not in get_args(Positions):
            raise ConfigError(f"{name} is {options[name]!r}.", expected=", ".join(get_args(Positions)))
    if options["head"] not in get_args(Head):
        raise ConfigError(f"head is {options['head']!r}.", expected=", ".join(get_args(Head)))
    if options["head"] == "depth" and options["end_token"]:
        raise ConfigError("The head depth predicts no end.", fix="end_token=false, or head=linear")
    width, codebooks, heads = (int(str(options[name])) for name in ("width", "num_books", "heads"))
    if width % codebooks or width % heads:
        raise ConfigError(f"A width of {width} cannot be shared by {codebooks} codebooks and {heads} heads.")


def _make_head(kind: Head, width: int, classes: int) -> nn.Module:
    if kind == "linear":
        return nn.Linear(width, classes, bias=False)
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes))


def _position_parameter(kind: Positions, rows: int, width: int) -> nn.Parameter:
    table = sine_table(rows, width) if kind.startswith("sine") else torch.zeros(1, rows, width)
    return nn.Parameter(table, requires_grad=not kind.endswith("frozen"))


def _length_table(kind: Positions, rows: int, width: int) -> nn.Embedding | nn.Parameter:
    if kind.startswith("sine"):
        return nn.Parameter(sine_table(rows, width)[0], requires_grad=kind == "sine_ft")
    table = nn.Embedding(rows, width)
    table.weight.requires_grad_(kind == "scratch")
    return table
