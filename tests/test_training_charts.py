from forecasting import training_figure

EPOCHS = [
    {"loss": 0.4, "gradient_norm": 2.0, "seconds": 1.0, "validation_loss": None},
    {"loss": 0.3, "gradient_norm": 1.0, "seconds": 1.5, "validation_loss": None},
]


def test_loss_and_gradient_norm_are_drawn_by_epoch():
    loss, norm = training_figure(EPOCHS).data
    assert (loss.name, list(loss.x), list(loss.y), loss.yaxis) == ("training loss", [1, 2], [0.4, 0.3], "y")
    assert (norm.name, list(norm.y), norm.yaxis) == ("gradient norm", [2.0, 1.0], "y2")
    assert loss.hovertext[1] == "epoch 2<br><b>training loss 0.3</b><br>1.5 s"


def test_a_validation_loss_is_drawn_where_there_is_one_and_kept_apart_by_its_marker():
    figure = training_figure([{**epoch, "validation_loss": 0.5} for epoch in EPOCHS])
    assert [trace.name for trace in figure.data] == ["training loss", "validation loss", "gradient norm"]
    assert len({trace.marker.symbol for trace in figure.data}) == len({trace.line.dash for trace in figure.data}) == 3
