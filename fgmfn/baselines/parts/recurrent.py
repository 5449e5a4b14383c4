"""An LSTM over padded sequences in which padding neither enters nor leaves a trace, in one direction or both."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class MaskedLSTM(nn.Module):
    """One LSTM layer; both directions stand side by side in its states.

    Args:
        input_size: width of what it reads.
        hidden_size: width per direction.
        bidirectional: read backwards, too.
    """

    def __init__(self, input_size: int, hidden_size: int, *, bidirectional: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(input_size, hidden_size, batch_first=True, bidirectional=bidirectional)
        self.out_size = hidden_size * (2 if bidirectional else 1)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Turn [B, n, input_size] into [B, n, out_size], zero where mask [B, n] is not real.

        Real positions must come first; a row without any stays zero.
        """
        # Packing takes no empty sequence: such a row is read as one step, and wiped out again.
        lengths = mask.sum(dim=1).clamp(min=1).cpu()
        packed = pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
        read, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=states.shape[1])
        return read * mask.to(read.dtype).unsqueeze(-1)
